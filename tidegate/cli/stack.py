"""The commands of the stack on this machine (local mode)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import Json, model_service_settings, settings, settings_of_running_stack

PANEL = "The stack on this machine"

commands = typer.Typer()


@commands.command(
    rich_help_panel=PANEL,
    epilog="Examples: `tidegate up --detach && tidegate status`, `tidegate up --app shop.main:app`",
)
def up(
    detach: Annotated[bool, typer.Option(help="Run in the background.")] = False,
    store: Annotated[str | None, typer.Option(help="embedded or elasticsearch.")] = None,
    app: Annotated[
        str | None,
        typer.Option(
            help="Your ASGI application, as MODULE:NAME; default: service.app, else the model service."
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace the running stack by this version and these settings; no request fails.",
        ),
    ] = False,
) -> None:
    """Start the whole stack on this machine."""
    from tidegate.terminal.up_command import up as run

    found = settings() if app is None else settings(service={"app": app})
    raise typer.Exit(run(found, detach=detach, store=store, replace=replace))


@commands.command(rich_help_panel=PANEL)
def status(as_json: Json = False) -> None:
    """Show the components, their addresses and their state."""
    from tidegate.terminal.status_command import status as run

    raise typer.Exit(run(settings_of_running_stack(), as_json=as_json))


@commands.command("open", rich_help_panel=PANEL)
def open_console() -> None:
    """Open the console of the running stack in the browser, and print its address."""
    from tidegate.terminal.open_command import open_console as run

    raise typer.Exit(run(settings_of_running_stack()))


@commands.command(rich_help_panel=PANEL, epilog="Example: `tidegate verify --wait 60`")
def verify(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds for which failed checks are repeated.")
    ] = 15.0,
) -> None:
    """Check that every component of the running stack works, and that data arrive there.

    The exit code is 0 only if all checks pass.
    """
    from tidegate.checks.commands import verify as run

    raise typer.Exit(run(settings(), json=as_json, wait_seconds=wait))


@commands.command(rich_help_panel=PANEL)
def down() -> None:
    """Stop the stack; replicas finish their requests, and every event is delivered."""
    from tidegate.terminal.down_command import down as run

    raise typer.Exit(run(settings_of_running_stack()))


@commands.command(
    rich_help_panel=PANEL,
    epilog="Examples: `tidegate deploy artefacts/flights-next`; for your own application `tidegate deploy`",
)
def deploy(
    artefact: Annotated[
        Path | None,
        typer.Argument(
            help="An artefact folder, or a model file. None for service.app or replicas.command: their code"
            " that is on disk now."
        ),
    ] = None,
) -> None:
    """Roll out another model or newer code to the running stack, one replica at a time; no request fails."""
    from tidegate.terminal.deploy_command import deploy as run

    raise typer.Exit(run(settings(), artefact))


@commands.command(
    "settings",
    rich_help_panel=PANEL,
    epilog="Examples: `tidegate settings`, `tidegate settings slo replicas.max`,"
    " `tidegate settings --changed --json`",
)
def show_settings(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Sections or settings, such as slo or replicas.max; default: all."),
    ] = None,
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="Only settings from a file or an environment variable, and those that a running stack does"
            " not use.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the settings, the source of each, and which of them the running stack does not use."""
    from tidegate.settings.commands import show
    from tidegate.stack.processes.running_settings import other_values

    found = settings()
    running = other_values(found)
    raise typer.Exit(show(found, names or [], running, changed=changed, as_json=as_json))


@commands.command(
    rich_help_panel=PANEL, epilog="Examples: `tidegate doctor`, `tidegate doctor --compose`"
)
def doctor(
    compose: Annotated[
        bool, typer.Option("--compose", help="Check this machine for `docker compose up`.")
    ] = False,
) -> None:
    """Check this machine, and say how to fix each problem."""
    from tidegate.checks.commands import compose_doctor
    from tidegate.checks.commands import doctor as run

    raise typer.Exit(compose_doctor() if compose else run(settings()))


@commands.command(rich_help_panel=PANEL)
def demo() -> None:
    """Run the demo: start with one replica, send load, watch it scale, find a request."""
    from tidegate.demos.scaling import demo as run

    raise typer.Exit(run(model_service_settings()))
