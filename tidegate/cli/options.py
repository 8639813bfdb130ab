"""The options and settings that several commands share."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from tidegate.printable_text import printable
from tidegate.settings import Autoscaler, Settings, SettingsError, load

Since = Annotated[
    str, typer.Option(help="The start: 30s, 5m, 2h or 1d ago, or a time in ISO 8601.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def settings(**overrides: Any) -> Settings:
    """The settings; an invalid one is reported, and the command exits with 2.

    Args:
        overrides: settings from options, by section; they override all other sources.
    """
    try:
        found = load(**overrides)
        if found.autoscaler.policy != Autoscaler().policy:
            # Imported here, as the default policy needs no check.
            from tidegate.autoscaler.live.configured_policy import check_policy

            check_policy(found)
    except SettingsError as error:
        stop(str(error))
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


def searched_settings() -> Settings:
    """The settings for a command that searches; without a running stack, it delivers the events first."""
    from tidegate.collector.run import deliver_now
    from tidegate.stack.data_folder import Layout

    found = settings()
    if Layout(found.stack.data_dir).holder() is None:  # otherwise its collector delivers them
        deliver_now(found)
    return found


def stop(message: str, code: int = 2) -> NoReturn:
    """Report an error, and exit with a code."""
    typer.secho("\n".join(map(printable, message.splitlines())), fg="red", err=True)
    raise typer.Exit(code)
