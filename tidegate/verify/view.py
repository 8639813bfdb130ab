"""The results as a table, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from tidegate.verify.results import Result

Results = Mapping[str, list[Result]]
STYLES: Final = {"ok": "green", "failed": "bold red", "skipped": "dim"}
NAME_WIDTH, WIDE_NAME_WIDTH = 27, 38
WIDE_TERMINAL: Final = 100
"""From this width on, the names of checks are not wrapped."""
MAX_DETAILS: Final = 8
"""Lines of details of a failed check in the table; JSON has all."""


def table(results: Results, width: int) -> RenderableType:
    """One line for each check, grouped by component; the details of failed checks; a summary.

    Args:
        results: by component.
        width: of the terminal, in characters.
    """
    names = WIDE_NAME_WIDTH if width >= WIDE_TERMINAL else NAME_WIDTH
    shown = Table(
        Column(min_width=names, max_width=names, overflow="fold"),
        Column(min_width=7),
        Column(overflow="fold"),
        box=None,
        pad_edge=False,
        show_header=False,
    )
    for component, found in results.items():
        shown.add_row(Text(component, style="bold"))
        for one in found:
            state = Text(one.state, style=STYLES[one.state])
            shown.add_row(Padding(one.name, (0, 0, 0, 2)), state, Text(one.text))
            for line in _details(one):
                shown.add_row("", "", Text(f"· {line}", style="red"))
    good = not any(one.state == "failed" for found in results.values() for one in found)
    return Group(shown, Text(), Text(summary(results), style="green" if good else "bold red"))


def _details(one: Result) -> Iterator[str]:
    if one.state != "failed":
        return
    yield from one.details[:MAX_DETAILS]
    more = len(one.details) - MAX_DETAILS
    if more > 0:
        yield f"and {more} more (--json shows all)"


def summary(results: Results) -> str:
    """The numbers of passed, failed and skipped checks, in a sentence."""
    every = [one for found in results.values() for one in found]
    by_component = {
        component: names
        for component, found in results.items()
        if (names := [one.name for one in found if one.state == "failed"])
    }
    skipped = sum(one.state == "skipped" for one in every)
    rest = f" ({skipped} skipped)" if skipped else ""
    run = len(every) - skipped
    if not by_component:
        return f"All {run} checks passed{rest}."
    failed = sum(map(len, by_component.values()))
    where = "; ".join(
        f"{component}: {', '.join(names)}" for component, names in by_component.items()
    )
    return f"{failed} of {run} checks failed{rest}: {where}."


def as_json(results: Results, problem: str = "") -> str:
    """One JSON object: whether all checks pass, and every check with its details.

    With `problem` no check could run, and the object contains it.
    """
    checks = [
        {
            "component": component,
            "check": one.name,
            "state": one.state,
            "text": one.text,
            "details": list(one.details),
        }
        for component, found in results.items()
        for one in found
    ]
    if problem:
        return json.dumps({"ok": False, "problem": problem, "checks": checks})
    return json.dumps({"ok": all(one["state"] != "failed" for one in checks), "checks": checks})
