"""What several commands share."""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from tidegate.settings import Autoscaler, Settings, SettingsError, load

Since = Annotated[str, typer.Option(help="How far back: 30s, 5m, 2h, 1d, or a time in ISO 8601.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def settings() -> Settings:
    """The settings; if one is bad, its reason is shown and the command ends with 2."""
    try:
        found = load()
        if found.autoscaler.policy != Autoscaler().policy:
            from tidegate.autoscaler.live.configured_policy import (
                check_policy,  # the default needs no check
            )

            check_policy(found)
    except SettingsError as error:
        stop(str(error))
    return found


def searched_settings() -> Settings:
    """The settings, for a command that searches: without a running stack, events are delivered first."""
    from tidegate.collector.run import deliver_now
    from tidegate.stack.data_folder import Layout

    found = settings()
    if Layout(found.stack.data_dir).holder() is None:  # else its collector does it
        deliver_now(found)
    return found


def stop(message: str) -> NoReturn:
    """Show what is wrong, and end the command with 2."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(2)
