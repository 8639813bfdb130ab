"""The options and settings that several commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from tidegate.printable_text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidegate.settings import Settings

Since = Annotated[
    str, typer.Option(help="The start: 30s, 5m, 2h or 1d ago, or a time in ISO 8601.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def settings(**overrides: Any) -> Settings:
    """The settings; an invalid one is reported, and the command exits with 2.

    Args:
        overrides: settings from options, by section; they override all other sources.
    """
    from tidegate.settings import SettingsError

    try:
        return _checked(**overrides)
    except SettingsError as error:
        stop(str(error))


def _checked(**overrides: Any) -> Settings:
    from tidegate.settings import Autoscaler, load

    found = load(**overrides)
    if found.autoscaler.policy != Autoscaler().policy:
        # Imported here, as the default policy needs no check.
        from tidegate.autoscaler.live.configured_policy import check_policy

        check_policy(found)
    return found


def settings_of_running_stack() -> Settings:
    """The settings for a command about a running stack.

    Invalid ones are reported, and stop it only if they leave open which stack it is.
    """
    from tidegate.settings import SettingsError

    try:
        return _checked()
    except SettingsError as error:
        return _valid_part(error)


def _valid_part(error: ValueError) -> Settings:
    from tidegate.settings import SettingsError
    from tidegate.settings.valid_part import load_valid

    try:
        found = load_valid()
    except SettingsError:
        stop(f"{error}\nSo the data folder of the stack is not known: correct this first")
    folder = found.stack.data_dir
    _report(f"{error}\nThis command ignores it; the data folder is {folder}", "yellow")
    return found


def model_service_settings() -> Settings:
    """The settings for a command about the model service; another program as replicas stops the command."""
    found = settings()
    if program := found.replica_program:
        setting = "service.app" if found.service.app else "replicas.command"
        stop(
            f"{setting} is {program!r}, and this command is for Tidegate's own model service: run it in a"
            " folder without this setting"
        )
    return found


def run_search(run: Callable[[Settings], int]) -> NoReturn:
    """Exit with the code of what searches; without a running stack, deliver the events first.

    The code is 2 if some of them could not be delivered, whatever was found, as grep's is.
    """
    from tidegate.collector.run import deliver_now
    from tidegate.settings import SettingsError
    from tidegate.stack.data_folder import Layout

    complete = True
    try:
        found = _checked()
    except SettingsError as error:
        # Not delivered: with a default in place of an invalid `store` or `collector` setting, events would go
        # to another store, or files be deleted that are to be kept.
        found = _valid_part(error)
    else:
        if Layout(found.stack.data_dir).holder() is None:  # otherwise its collector delivers them
            complete = deliver_now(found)
    raise typer.Exit(max(run(found), 0 if complete else 2))


def stop(message: str, code: int = 2) -> NoReturn:
    """Report an error, and exit with a code."""
    _report(message, "red")
    raise typer.Exit(code)


def _report(message: str, colour: str) -> None:
    typer.secho("\n".join(map(printable, message.splitlines())), fg=colour, err=True)
