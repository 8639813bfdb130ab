"""The results of checks before a start, on demand and of a running stack, and how they are shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from tidegate.terminal_console import NARROW

State = Literal["ok", "warn", "failed", "skipped"]

STYLES: Final = {"ok": "green", "warn": "yellow", "failed": "bold red", "skipped": "dim"}
NAME_WIDTH, WIDE_NAME_WIDTH = 27, 38
WIDE_TERMINAL: Final = 100
"""From this width on, the names of checks are not wrapped."""
MAX_DETAILS: Final = 8
"""Lines of details of a failed check in the table; JSON has all."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one check, of the machine or of a component.

    Attributes:
        name: of the check, within its component.
        state: `failed` stops a start, `warn` does not; `skipped` if the check does not apply.
        text: what was found, and what to do; the reason if the check does not apply.
        details: more lines, one for each problem or remark.
    """

    name: str
    state: State
    text: str
    details: tuple[str, ...] = ()


Results = Mapping[str, list[Result]]
"""By component; the component is empty for checks of the machine."""


def ok(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """The check passes."""
    return Result(name, "ok", text, tuple(details))


def warn(name: str, text: str) -> Result:
    """The check passes with a warning."""
    return Result(name, "warn", text)


def failed(name: str, text: str, details: Iterable[str] = ()) -> Result:
    """The check fails."""
    return Result(name, "failed", text, tuple(details))


def skipped(name: str, reason: str) -> Result:
    """The check does not apply."""
    return Result(name, "skipped", reason)


def problem_or_ok(name: str, problem: str, ok_text: str) -> Result:
    """`failed` with the problem, or `ok` if it is empty."""
    return failed(name, problem) if problem else ok(name, ok_text)


def result_from(name: str, problems: Iterable[str], ok_text: str, failed_text: str) -> Result:
    """`ok` with `ok_text` if there is no problem, else `failed` with `failed_text` and the problems."""
    found = tuple(problems)
    return failed(name, failed_text, found) if found else ok(name, ok_text)


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 alert`, `3 alerts`, `2 queries`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def has_failed(results: Results) -> bool:
    """Whether a check fails."""
    return any(one.state == "failed" for found in results.values() for one in found)


def table(results: Results, width: int) -> Table:
    """One line for each check, grouped by component, and details of failed ones; `width` is in characters."""
    if width < NARROW:
        return _narrow_table(results)
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
        if component:
            shown.add_row(Text(component, style="bold"))
        for one in found:
            name = Padding(one.name, (0, 0, 0, 2 if component else 0))
            shown.add_row(name, Text(one.state, style=STYLES[one.state]), Text(one.text))
            for line in _details(one):
                shown.add_row("", "", Text(f"· {line}", style="red"))
    return shown


def _narrow_table(results: Results) -> Table:
    """The text of each check below its name, as there is no room beside it."""
    shown = Table.grid(Column(overflow="fold"))
    for component, found in results.items():
        if component:
            shown.add_row(Text(component, style="bold"))
        for one in found:
            shown.add_row(Text.assemble((f"{one.state:8}", STYLES[one.state]), one.name))
            for line in (Text(one.text), *(Text(f"· {line}", "red") for line in _details(one))):
                shown.add_row(Padding(line, (0, 0, 0, 2)))
    return shown


def _details(one: Result) -> Iterator[str]:
    if one.state != "failed":
        return
    yield from one.details[:MAX_DETAILS]
    more = len(one.details) - MAX_DETAILS
    if more > 0:
        yield f"and {more} more (--json shows all)"


def report(results: Results, width: int) -> RenderableType:
    """The table and a summary, for a terminal of this width in characters."""
    style = "bold red" if has_failed(results) else "green"
    return Group(table(results, width), Text(), Text(summary(results), style=style))


def summary(results: Results) -> str:
    """The numbers of passed, failed and skipped checks, in a sentence."""
    every = [one for found in results.values() for one in found]
    by_component = {
        component: names
        for component, found in results.items()
        if (names := [one.name for one in found if one.state == "failed"])
    }
    left_out = sum(one.state == "skipped" for one in every)
    rest = f" ({left_out} skipped)" if left_out else ""
    run = len(every) - left_out
    if not by_component:
        return f"All {run} checks passed{rest}."
    number = sum(map(len, by_component.values()))
    where = "; ".join(
        f"{component}: {', '.join(names)}" for component, names in by_component.items()
    )
    return f"{number} of {run} checks failed{rest}: {where}."


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
    return json.dumps({"ok": not has_failed(results), "checks": checks})
