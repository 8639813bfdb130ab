"""The placeholders of `replicas.command`, the command of a replica that is not a service of Tidegate's."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Final

PLACEHOLDERS: Final = ("host", "port", "metrics_port", "node_name", "slots")
EXPECTED: Final = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


def check_command(command: tuple[str, ...]) -> tuple[str, ...]:
    """Validate the words of a command.

    Raises:
        ValueError: it has an unknown placeholder or a single brace, or does not contain {port}.
    """
    found = {name for word in command for name in _placeholders(word)}
    if unknown := sorted(found - {*PLACEHOLDERS}):
        raise ValueError(f"unknown placeholder {{{unknown[0]}}}; expected {EXPECTED}")
    if command and not command[0].strip():
        raise ValueError("must begin with the name or path of a program")
    if command and "port" not in found:
        raise ValueError(
            "must contain {port}, the port that the replica has to listen on: each replica has its own"
        )
    return command


def fill_command(command: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words of a valid command with the values of its placeholders."""
    return tuple(
        "".join(
            text + ("" if name is None else values[name])
            for text, name, *_ in string.Formatter().parse(word)
        )
        for word in command
    )


def _placeholders(word: str) -> list[str]:
    try:
        parts = list(string.Formatter().parse(word))
    except ValueError as error:
        raise ValueError(
            f"{word!r} has a single brace: write {{{{ for {{, and }}}} for }}"
        ) from error
    for _, name, spec, conversion in parts:
        if name is not None and (spec or conversion):
            raise ValueError(
                f"{word!r}: a placeholder has no format; expected {EXPECTED}, and {{{{ and }}}} for braces"
            )
    return [name for _, name, *_ in parts if name is not None]
