"""The live view of a run on the terminal, drawn from the recording in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidegate.loadgen.report.figures import quantile
from tidegate.loadgen.report.replica_signals import EXPRESSIONS, Prometheus, PrometheusError
from tidegate.loadgen.report.summary import duration_text
from tidegate.loadgen.send.record import Recording

WINDOW_SECONDS: Final = 5.0
"""Window of the rolling quantiles."""
HISTORY_SECONDS: Final = 60
BARS: Final = "▁▂▃▄▅▆▇█"
FRAME_SECONDS: Final = 0.25
POLL_SECONDS: Final = 1.0
Value: TypeAlias = tuple[str, str, str]
"""A name, its value, and the style of that."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of a run at one time. Times are in seconds; None means no data."""

    at: float
    planned: int
    due: int
    sent: int
    answered: int
    failed: int
    p50: float | None
    p95: float | None
    p99: float | None
    lag_p99: float | None
    p95_history: tuple[float | None, ...]
    """p95 of the requests that ended in each of the last `HISTORY_SECONDS`."""


def snapshot(recording: Recording, at: float) -> Snapshot:
    """Return the state of the run at `at` seconds since its start."""
    shown = np.flatnonzero((recording.finished > at - HISTORY_SECONDS) & recording.ended)
    finished, felt = recording.finished[shown], recording.response_or_infinity[shown]
    recent = felt[finished > at - WINDOW_SECONDS]
    second = np.floor(finished)
    p95_history = tuple(
        quantile(felt[second == number], 0.95)
        for number in range(max(0, int(at) - HISTORY_SECONDS + 1), int(at))
    )
    return Snapshot(
        at=at,
        planned=len(recording),
        due=int((recording.planned <= at).sum()),
        sent=int(recording.was_sent.sum()),
        answered=int(recording.answered.sum()),
        failed=int(recording.failed.sum()),
        p50=quantile(recent, 0.5),
        p95=quantile(recent, 0.95),
        p99=quantile(recent, 0.99),
        lag_p99=quantile(recording.lag, 0.99),
        p95_history=p95_history,
    )


def sparkline(values: tuple[float | None, ...]) -> str:
    """Return a bar for each value, scaled to the maximum; a space for None."""
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(
        " " if value is None else BARS[min(7, int(value / top * 8)) if top > 0 else 0]
        for value in values
    )


def status_line(now: Snapshot, signals: Mapping[str, float]) -> str:
    """Return the state as one line."""
    shown = (*_counts(now), *_times(now, over=False), *_signals(signals))
    return f"{max(0.0, now.at):5.0f} s  " + "  ".join(f"{name} {value}" for name, value, _ in shown)


def status_panel(
    now: Snapshot, signals: Mapping[str, float], *, title: str, seconds: float, slo: float | None
) -> RenderableType:
    """Return the state as a panel."""
    over = slo is not None and now.p95 is not None and now.p95 > slo
    p95_history = Text("p95 per second  ", style="dim")
    p95_history.append(sparkline(now.p95_history), style="red" if over else "cyan")
    bar = Table.grid(expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=14)
    done = min(max(now.at, 0.0), seconds)
    bar.add_row(ProgressBar(total=seconds, completed=done), f"{done:.0f} of {seconds:.0f} s")
    # Each line of names and values fits 80 columns up to five digits.
    lines = [
        Text("  ").join(
            Text.assemble((f"{name} ", "dim"), (value, style)) for name, value, style in values
        )
        for values in ([*_counts(now), *_signals(signals)], _times(now, over=over))
    ]
    return Panel(
        Group(bar, *lines, p95_history), title=title, title_align="left", border_style="dim"
    )


def _counts(now: Snapshot) -> list[Value]:
    return [
        ("planned", f"{now.due}/{now.planned}", ""),
        ("sent", f"{now.sent}", ""),
        ("answered", f"{now.answered}", "green"),
        ("failed", f"{now.failed}", "bold red" if now.failed else ""),
    ]


def _times(now: Snapshot, *, over: bool) -> list[Value]:
    return [
        ("p50", duration_text(now.p50), ""),
        ("p95", duration_text(now.p95), "bold red" if over else "bold"),
        ("p99", duration_text(now.p99), ""),
        ("lag p99", duration_text(now.lag_p99), ""),
    ]


def _signals(signals: Mapping[str, float]) -> list[Value]:
    return [(name, f"{value:.0f}", "cyan") for name, value in signals.items()]


@contextmanager
def live_view(
    console: Console,
    recording: Recording,
    started: Callable[[], float],
    *,
    title: str,
    seconds: float,
    slo: float | None = None,
    prometheus: Prometheus | None = None,
    line_seconds: float = 10.0,
) -> Iterator[Mapping[str, float]]:
    """Show the progress of a run inside the block, and yield the most recent values from Prometheus.

    On a terminal it draws a panel four times per second; otherwise it prints a line every `line_seconds`.
    """
    signals: dict[str, float] = {}
    stopped = threading.Event()

    def now() -> Snapshot:
        return snapshot(recording, time.monotonic() - started())

    def draw() -> None:
        with Live(console=console, auto_refresh=False) as live:
            over = False
            while not over:
                over = stopped.wait(FRAME_SECONDS)
                frame = status_panel(now(), {**signals}, title=title, seconds=seconds, slo=slo)
                live.update(frame, refresh=True)

    def write() -> None:
        over = False
        while not over:
            over = stopped.wait(line_seconds)
            console.print(status_line(now(), {**signals}), highlight=False, soft_wrap=True)

    shows = draw if console.is_terminal else write
    threads = [threading.Thread(target=shows, name="watch", daemon=True)]
    if prometheus is not None:
        # In another thread, so that a slow response does not block the view.
        asked = (prometheus, signals, stopped)
        threads.append(threading.Thread(target=_poll, args=asked, name="signals", daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield signals
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _poll(prometheus: Prometheus, signals: dict[str, float], stopped: threading.Event) -> None:
    while not stopped.is_set():
        for name in EXPRESSIONS:
            value = None
            with suppress(PrometheusError):  # it is reported once, at the end of the run
                value = prometheus.now(name)
            if value is None:
                signals.pop(name, None)
            else:
                signals[name] = value
        stopped.wait(POLL_SECONDS)
