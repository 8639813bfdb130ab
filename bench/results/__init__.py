"""The results of a bench: a file of JSON, and its table in bench/RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
PAGE: Final = FOLDER.parent / "RESULTS.md"


@dataclass(frozen=True, slots=True)
class Result:
    """One figure beside what it is held against.

    Attributes:
        name: what was measured, and against what.
        ours: in `unit`, the median of the rounds.
        peer: the same of what it is held against; None if it is held against a number alone.
        unit: such as `µs/request`.
        ratio: the median of the rounds' ours / peer; None without a peer, or where it is 0.
        spread: the least and the most of these ratios, or of `ours` without a ratio.
        target: the largest ratio that is wanted, or the largest `ours` without a peer; None for no target.
        met: whether the target is reached; None without one.
        machine: its architecture, cores and Python.
        date: of the measurement.
    """

    name: str
    ours: float
    peer: float | None
    unit: str
    ratio: float | None
    spread: tuple[float, float]
    target: float | None
    met: bool | None
    machine: str
    date: str


def result(
    name: str,
    ours: Sequence[float],
    peer: Sequence[float] | None = None,
    *,
    unit: str,
    target: float | None = None,
) -> Result:
    """The result of rounds; those of the peer were measured in turns with ours.

    There is no ratio where a round of the peer is 0.
    """
    has_ratio = peer is not None and all(peer)
    compared = [a / b for a, b in zip(ours, peer, strict=True)] if peer and has_ratio else ours
    value = statistics.median(compared)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return Result(
        name,
        round(statistics.median(ours), 2),
        None if peer is None else round(statistics.median(peer), 2),
        unit,
        round(value, 3) if has_ratio else None,
        (round(min(compared), 3), round(max(compared), 3)),
        target,
        None if target is None else value <= target,
        machine,
        time.strftime("%Y-%m-%d"),
    )


def save(name: str, results: Sequence[Result], *, whole: bool = True) -> None:
    """Print the results, and write them to `bench/results/NAME.json` and between its marks in the page.

    A run that is not the whole bench prints only: it would remove what it did not measure.
    """
    if results:
        print(table(results))
    if not whole:
        return
    text = json.dumps([asdict(each) for each in results], indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    begin, end = f"<!-- {name}.json -->", f"<!-- end of {name}.json -->"
    block = f"{begin}\n{table(results)}\n{end}"
    page = PAGE.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    PAGE.write_text(marked.sub(lambda _: block, page), encoding="utf-8")


def table(results: Sequence[Result]) -> str:
    """The results as a table in Markdown."""
    lines = [
        f"Measured on {results[0].date}, {results[0].machine}; medians, in brackets the range of the rounds.",
        "",
        "| what | Tidegate | peer | ratio | wanted |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for each in results:
        low, high = each.spread
        peer = "" if each.peer is None else f"{each.peer:,.4g}"
        ratio = f"{low:,.4g} to {high:,.4g}" if each.ratio is None else ""
        if each.ratio is not None:
            ratio = f"{each.ratio:.2f} ({low:.2f} to {high:.2f})"
        wanted = (
            "" if each.target is None else f"≤ {each.target:g}{'' if each.met else ': **missed**'}"
        )
        lines.append(
            f"| {each.name} | {each.ours:,.4g} {each.unit} | {peer} | {ratio} | {wanted} |"
        )
    return "\n".join(lines)
