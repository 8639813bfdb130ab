"""The results as a table, and as JSON."""

from __future__ import annotations

import json

from rich.console import Group, RenderableType
from rich.text import Text

from tidegate.runtime.check_results import Results, has_failed, table


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
