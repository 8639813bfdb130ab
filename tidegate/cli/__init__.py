"""The command line: each command reads the settings and calls the package that implements it."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tidegate.cli import components, compose_setup, events, loadgen, model, scaling, serve, stack
from tidegate.cli.options import stop
from tidegate.os_errors import os_error_message
from tidegate.runtime.optional_packages import exit_if_package_missing


class Commands(TyperGroup):
    """The commands; reports an error of the operating system or a missing package in one sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            with exit_if_package_missing():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of the output has exited, which is no error
        except OSError as error:
            stop(os_error_message(error))


app = typer.Typer(
    name="tidegate",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tidegate {version('tidegate')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Observability and autoscaling for machine-learning model services."""
    del show_version  # its callback has ended the command


for module in (stack, serve, events, scaling, model, loadgen, components, compose_setup):
    app.add_typer(module.commands)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
