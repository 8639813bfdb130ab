"""The live view of a run on the terminal, drawn from the recording in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

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
LINE_SECONDS: Final = 1.0


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
    text = (
        f"{max(0.0, now.at):5.0f} s  planned {now.due}/{now.planned}  sent {now.sent}  "
        f"answered {now.answered}  failed {now.failed}  p50 {duration_text(now.p50)}  "
        f"p95 {duration_text(now.p95)}  p99 {duration_text(now.p99)}  "
        f"lag p99 {duration_text(now.lag_p99)}"
    )
    return text + "".join(f"  {name} {value:.0f}" for name, value in signals.items())


def status_panel(
    now: Snapshot, signals: Mapping[str, float], *, title: str, seconds: float, slo: float | None
) -> RenderableType:
    """Return the state as a panel."""
    over = slo is not None and now.p95 is not None and now.p95 > slo
    counts = [
        ("planned", f"{now.due}/{now.planned}", ""),
        ("sent", f"{now.sent}", ""),
        ("answered", f"{now.answered}", "green"),
        ("failed", f"{now.failed}", "bold red" if now.failed else ""),
        *((name, f"{value:.0f}", "cyan") for name, value in signals.items()),
    ]
    times = [
        ("p50", duration_text(now.p50), ""),
        ("p95", duration_text(now.p95), "bold red" if over else "bold"),
        ("p99", duration_text(now.p99), ""),
        ("send lag p99", duration_text(now.lag_p99), ""),
    ]
    p95_history = Text("p95 per second  ", style="dim")
    p95_history.append(sparkline(now.p95_history), style="red" if over else "cyan")
    bar = Table.grid(expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=14)
    done = min(max(now.at, 0.0), seconds)
    bar.add_row(ProgressBar(total=seconds, completed=done), f"{done:.0f} of {seconds:.0f} s")
    return Panel(
        Group(bar, _labelled_values(counts), _labelled_values(times), p95_history),
        title=title,
        title_align="left",
        border_style="dim",
    )


def _labelled_values(cells: list[tuple[str, str, str]]) -> Text:
    """Return names and values in one line, which fits 80 columns up to five digits."""
    return Text("  ").join(
        Text.assemble((f"{name} ", "dim"), (value, style)) for name, value, style in cells
    )


class LiveView:
    """A context manager that shows the progress of a run.

    On a terminal it draws a panel four times per second; otherwise it prints a line per second.
    """

    def __init__(
        self,
        console: Console,
        recording: Recording,
        started: Callable[[], float],
        *,
        title: str,
        seconds: float,
        slo: float | None = None,
        prometheus: Prometheus | None = None,
    ) -> None:
        self._console = console
        self._recording = recording
        self._started = started
        self._title = title
        self._seconds = seconds
        self._slo = slo
        self.signals: dict[str, float] = {}
        """The most recent values from Prometheus."""
        self._stopped = threading.Event()
        show = self._draw if console.is_terminal else self._print
        # Prometheus is queried in another thread, so that a slow response does not block the view.
        self._threads = [threading.Thread(target=show, name="watch", daemon=True)]
        if prometheus is not None:
            self._threads.append(
                threading.Thread(
                    target=self._poll_signals, args=(prometheus,), name="signals", daemon=True
                )
            )

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _now(self) -> Snapshot:
        return snapshot(self._recording, time.monotonic() - self._started())

    def _draw(self) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                over = self._stopped.wait(FRAME_SECONDS)
                frame = status_panel(
                    self._now(),
                    dict(self.signals),
                    title=self._title,
                    seconds=self._seconds,
                    slo=self._slo,
                )
                live.update(frame, refresh=True)
                if over:
                    return

    def _print(self) -> None:
        over = False
        while not over:
            over = self._stopped.wait(LINE_SECONDS)
            self._console.print(
                status_line(self._now(), dict(self.signals)), highlight=False, soft_wrap=True
            )

    def _poll_signals(self, prometheus: Prometheus) -> None:
        while not self._stopped.is_set():
            for name in EXPRESSIONS:
                try:
                    value = prometheus.now(name)
                except PrometheusError:
                    # The failure is reported once, at the end of the run.
                    value = None
                if value is None:
                    self.signals.pop(name, None)
                else:
                    self.signals[name] = value
            self._stopped.wait(LINE_SECONDS)
