"""docs/reference/cli.md: every command of `tidegate` with its arguments and options, and their defaults."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from tidegate.cli import app
from tidegate.rules.yaml_text import NOTE

Parameter = TyperArgument | TyperOption

INTRODUCTION: Final = (
    "`tidegate COMMAND --help` shows the same with examples; a value in parentheses is the default. In "
    "Docker Compose, run a command with `docker compose --profile tools run --rm tidegate COMMAND`. The load "
    "generator has a command line of its own: [`tidegate loadgen`](loadgen.md)."
)


def cli_page() -> str:
    """docs/reference/cli.md."""
    root = typer.main.get_command(app)
    lines = [f"<!-- {NOTE} -->", "# Command line", "", INTRODUCTION]
    for path, command in _commands(root, "tidegate"):
        lines += ["", f"## {path}", "", *_paragraphs(command.help)]
        lines += _parameters(command)
    return "\n".join(lines) + "\n"


def _commands(group: Any, path: str) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            if command.invoke_without_command:
                yield f"{path} {name}", command
            yield from _commands(command, f"{path} {name}")
        elif not command.hidden:
            yield f"{path} {name}", command


def _paragraphs(text: str | None) -> list[str]:
    return "\n\n".join(
        " ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text or "")
    ).splitlines()


def _parameters(command: TyperCommand | TyperGroup) -> list[str]:
    rows = [
        f"- {_names(parameter)}{_default(parameter)}: {' '.join((parameter.help or '').split())}"
        for kind in (TyperArgument, TyperOption)
        for parameter in command.params
        if isinstance(parameter, kind) and not parameter.hidden and parameter.help
    ]
    return ["", *rows] if rows else []


def _names(parameter: Parameter) -> str:
    if isinstance(parameter, TyperArgument):
        return f"`{(parameter.metavar or parameter.name or '').upper()}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Parameter) -> str:
    default = parameter.default
    if parameter.required:
        return " (required)"
    if default is None or callable(default) or default is False or default in ((), [], ""):
        return ""
    shown = ", ".join(map(str, default)) if isinstance(default, list | tuple) else str(default)
    return f" (`{shown}`)"
