"""`tidegate serve`: one replica of an application, without the rest of the stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import settings, stop

PANEL = "The stack on this machine"

commands = typer.Typer()


@commands.command(
    rich_help_panel=PANEL,
    epilog="Examples: `tidegate serve shop.main:app --port 8100`, "
    "`tidegate serve shop.main:make_app --app-dir src --ready shop.main:is_ready`",
)
def serve(
    app: Annotated[
        str,
        typer.Argument(
            help="Your ASGI application, or a function that returns it, as MODULE:NAME; "
            "default: service.app."
        ),
    ] = "",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8100,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    app_dir: Annotated[
        Path | None,
        typer.Option(help="The folder to import it from; default: service.app_dir."),
    ] = None,
    ready: Annotated[
        str,
        typer.Option(help="A function that returns whether it is ready; default: service.ready."),
    ] = "",
) -> None:
    """Run one replica of your application: with slots, probes, metrics and events, and without the stack."""
    from tidegate.serving.command import run

    found = settings()
    service = found.service
    target = app or service.app
    if not target:
        stop("name your application, such as `tidegate serve shop.main:app`, or set service.app")
    own_check = service.ready if target == service.app else ""
    raise typer.Exit(
        run(
            found,
            target,
            host=host,
            port=port,
            app_dir=service.app_dir if app_dir is None else app_dir,
            ready=ready or own_check,
        )
    )
