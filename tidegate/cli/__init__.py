"""The command line, thin: each command reads the settings and calls the room that does the work."""

from __future__ import annotations

import sys

import typer

from tidegate.cli import events, model, parts, scaling, stack

app = typer.Typer(
    name="tidegate",
    help="Observability and autoscaling for machine-learning model services.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
for room in (stack, events, scaling, model, parts):
    app.add_typer(room.commands)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
