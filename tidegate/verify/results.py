"""The results of checks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check of a component.

    Attributes:
        name: of the check, within its component.
        state: `skipped` if the check does not apply; `text` is then the reason.
        text: one line for the terminal.
        details: more lines, one for each problem or remark.
    """

    name: str
    state: State
    text: str
    details: tuple[str, ...] = ()


def ok(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """The check passes."""
    return Result(name, "ok", text, tuple(details))


def failed(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """The check fails."""
    return Result(name, "failed", text, tuple(details))


def skipped(name: str, reason: str) -> Result:
    """The check does not apply."""
    return Result(name, "skipped", reason)


def result_from(name: str, problems: Iterable[str], ok_text: str, failed_text: str) -> Result:
    """`ok` with `ok_text` if there is no problem, else `failed` with `failed_text` and the problems."""
    found = tuple(problems)
    return failed(name, failed_text, found) if found else ok(name, ok_text)


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 alert`, `3 alerts`, `2 queries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
