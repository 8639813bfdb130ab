"""The matrix for people: a table of what happened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from support.kubernetes.faults.cells import Cell, Fault
from support.kubernetes.faults.columns import Column


def change(cell: Cell) -> str:
    """What happened to the replicas, such as `4 → 0 in 9 s` or `held (4)`."""
    if cell.first_seconds is not None and cell.lowest_seconds is not None:
        first, last = round(cell.first_seconds), round(cell.lowest_seconds)
        begun = "" if first == last else f", the first after {first} s"
        return f"{cell.before} → {cell.lowest} in {last} s{begun}"
    if cell.highest > cell.before:
        return f"held ({cell.before}), then up to {cell.highest}"
    return f"held ({cell.before})"


def lost(cells: Iterable[Cell], faults: Iterable[Fault], columns: Iterable[Column]) -> list[Cell]:
    """The cells that are not as they must be: ours that lost a replica, or kept all when the load fell."""
    harmful = {one.key: one.harmful for one in faults}
    ours = {one.key for one in columns if one.ours}
    return [one for one in cells if one.column in ours and one.held != harmful[one.fault]]


def markdown(
    cells: Sequence[Cell],
    faults: Sequence[Fault],
    columns: Sequence[Column],
    *,
    seconds: float,
    machine: str,
) -> str:
    """The table."""
    found = {(one.fault, one.column): one for one in cells}
    lines = [
        f"{machine}; each fault {_durations(faults, seconds)}.",
        "",
        "| | " + " | ".join(one.title for one in columns) + " |",
        "| --- |" + " --- |" * len(columns),
    ]
    for fault in faults:
        row = [_entry(found.get((fault.key, column.key))) for column in columns]
        lines.append(f"| {fault.title} | " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def _durations(faults: Sequence[Fault], usual: float) -> str:
    longer = [
        f"{one.key} {one.seconds(usual):g} s" for one in faults if one.seconds(usual) != usual
    ]
    return ", ".join([f"{usual:g} s", *longer])


def _entry(cell: Cell | None) -> str:
    if cell is None:
        return "not run"
    text = change(cell) if cell.held else f"**{change(cell)}**"
    return text if cell.concerned else f"{text} (not in its path)"
