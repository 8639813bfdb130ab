"""The verdict on a run: its exit code, and its summary on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tidegate.loadgen.report.runs import REPORT
from tidegate.loadgen.report.summary import Summary, duration_text

GOOD: Final = 0
ALL_FAILED: Final = 1
INVALID: Final = 98
THRESHOLD_FAILED: Final = 99
INTERRUPTED: Final = 130

VerdictLevel = Literal["good", "bad", "doubtful"]
VERDICTS: Final[Mapping[int, tuple[str, VerdictLevel]]] = {
    ALL_FAILED: ("all requests failed", "bad"),
    INVALID: ("invalid", "doubtful"),
    THRESHOLD_FAILED: ("a threshold failed", "bad"),
    INTERRUPTED: ("interrupted", "doubtful"),
}


def exit_code(summary: Summary) -> int:
    """Return 130 if interrupted, 1 if all requests failed, 99 if a threshold failed, 98 if invalid, or 0."""
    if summary.interrupted:
        return INTERRUPTED
    if summary.all_failed:
        return ALL_FAILED
    if not all(one.passed for one in summary.thresholds):
        return THRESHOLD_FAILED
    return GOOD if summary.valid else INVALID


def verdict(summary: Summary) -> tuple[str, VerdictLevel]:
    """Return the verdict on the run as text, and its level."""
    good = "all thresholds passed" if summary.thresholds else "valid"
    return VERDICTS.get(exit_code(summary), (good, "good"))


def print_summary(console: Console, summary: Summary, folder: Path) -> None:
    """Print the figures, the reasons why they are invalid, the thresholds, and the path of the report."""
    console.print(_figures(summary))
    for line in _notes(summary):
        # A terminal would break words.
        console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    console.print(f"report   {escape(str(folder / REPORT))}", highlight=False, soft_wrap=True)


def _notes(summary: Summary) -> Iterator[str]:
    yield (
        f"send lag p99 {duration_text(summary.lag_p99_seconds)}, "
        f"{summary.achieved_ratio:.1%} of the planned rate achieved, "
        f"p95 of the last third {duration_text(summary.response_p95_last_third_seconds)}"
    )
    if summary.replicas_max is not None:
        yield f"replicas {summary.replicas_min} to {summary.replicas_max}"
    for error, count in summary.errors.items():
        yield f"[red]failed[/]   {count:,} of {escape(error)}"
    if summary.all_failed:
        yield (
            f"[red]failed[/]   all requests: is {escape(summary.url)} the service, and do the bodies match "
            "what it accepts?"
        )
    for reason in summary.invalid_reasons:
        yield f"[yellow]invalid[/]  {escape(reason)}"
    for one in summary.thresholds:
        mark = "[green]passed[/]" if one.passed else "[red]failed[/]"
        yield f"{mark}   {escape(one.text)}: measured {one.shown}"


def _figures(summary: Summary) -> Table:
    # It fits 80 columns, with a heading of two lines for the last one.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    other = "last byte\np95" if summary.until == "first-byte" else "first byte\np95"
    for name in ("", "planned", "sent", "answered", "failed", "p50", "p95", "p99", "max", other):
        table.add_column(
            name, justify="right" if name else "left", header_style="dim", no_wrap=True
        )
    for name, figures in (("all", summary), *summary.by_kind.items()):
        table.add_row(
            name,
            *(f"{count:,}" for count in (figures.planned, figures.sent, figures.answered)),
            f"[red]{figures.failed:,}[/]" if figures.failed else "0",
            duration_text(figures.response_p50_seconds),
            f"[bold]{duration_text(figures.response_p95_seconds)}[/]",
            duration_text(figures.response_p99_seconds),
            duration_text(figures.response_max_seconds),
            duration_text(
                figures.last_byte_p95_seconds
                if summary.until == "first-byte"
                else figures.first_byte_p95_seconds
            ),
        )
    return table
