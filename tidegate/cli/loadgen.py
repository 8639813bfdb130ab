"""The command of the load generator."""

from __future__ import annotations

from typing import Annotated

import typer

commands = typer.Typer()


@commands.command(
    "loadgen",
    rich_help_panel="Load",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    epilog="Example: `tidegate loadgen run seed`",
)
def load(arguments: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Send a planned load to a service and report the latencies of its clients: `tidegate loadgen --help`."""
    from tidegate.loadgen.cli import main

    main(arguments or ["--help"])
