"""One check of the machine, and the table of all checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from rich.table import Column, Table
from rich.text import Text

STYLES: Final = {"ok": "green", "warn": "yellow", "missing": "red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `missing` stops a start, `warn` does not; `text` says what to do."""

    name: str
    state: Literal["ok", "warn", "missing"]
    text: str


def table(checks: list[Check]) -> Table:
    """The checks as a table."""
    result = Table("", "", Column(overflow="fold"), box=None, pad_edge=False, show_header=False)
    for check in checks:
        result.add_row(check.name, Text(check.state, style=STYLES[check.state]), Text(check.text))
    return result
