"""What a check returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one question about a component.

    Attributes:
        name: of the question, within its component.
        state: whether it holds; `skipped` if it does not apply, and then `text` is the reason.
        text: one line for a person.
        details: more lines, one for each thing that is wrong or worth knowing.
    """

    name: str
    state: State
    text: str
    details: tuple[str, ...] = ()


def ok(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """It holds."""
    return Result(name, "ok", text, tuple(details))


def failed(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """It does not hold."""
    return Result(name, "failed", text, tuple(details))


def skipped(name: str, reason: str) -> Result:
    """It does not apply here."""
    return Result(name, "skipped", reason)


def judged(name: str, problems: Iterable[str], fine: str, wrong: str) -> Result:
    """`ok` with the text `fine` if there is no problem, else `failed` with `wrong` and the problems."""
    found = tuple(problems)
    return failed(name, wrong, found) if found else ok(name, fine)


def count(number: int, noun: str) -> str:
    """`1 alert`, `3 alerts`; a noun in -y as `2 queries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"
