"""The live view of a run: a picture of now, taken from the record, drawn in a thread of its own."""

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

from tidegate.loadgen.plan.durations import duration_text
from tidegate.loadgen.report.replica_signals import EXPRESSIONS, Prometheus, PrometheusError
from tidegate.loadgen.report.summary import quantile
from tidegate.loadgen.send.record import Recording

WINDOW_SECONDS: Final = 5.0
"""The rolling quantiles are those of the answers of this long."""
SPARK_SECONDS: Final = 60
SPARKS: Final = "▁▂▃▄▅▆▇█"
FRAME_SECONDS: Final = 0.25
LINE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A run at one time. Times in seconds; None where nothing is known."""

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
    spark: tuple[float | None, ...]
    """p95 of the answers of each second up to now, the last `SPARK_SECONDS`."""


def moment(recording: Recording, at: float) -> Moment:
    """The run at `at` seconds since its start."""
    shown = np.flatnonzero((recording.finished > at - SPARK_SECONDS) & recording.ended)
    finished, felt = recording.finished[shown], recording.felt[shown]
    recent = felt[finished > at - WINDOW_SECONDS]
    second = np.floor(finished)
    spark = tuple(
        quantile(felt[second == number], 0.95)
        for number in range(max(0, int(at) - SPARK_SECONDS + 1), int(at))
    )
    return Moment(
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
        spark=spark,
    )


def sparkline(values: tuple[float | None, ...]) -> str:
    """A bar for each value, the highest as high as a letter; a blank where there is none."""
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(
        " " if value is None else SPARKS[min(7, int(value / top * 8)) if top > 0 else 0]
        for value in values
    )


def plain(now: Moment, signals: Mapping[str, float]) -> str:
    """The moment in one line."""
    text = (
        f"{max(0.0, now.at):5.0f} s  planned {now.due}/{now.planned}  sent {now.sent}  "
        f"answered {now.answered}  failed {now.failed}  p50 {duration_text(now.p50)}  "
        f"p95 {duration_text(now.p95)}  p99 {duration_text(now.p99)}  "
        f"lag p99 {duration_text(now.lag_p99)}"
    )
    return text + "".join(f"  {name} {value:.0f}" for name, value in signals.items())


def picture(
    now: Moment, signals: Mapping[str, float], *, title: str, seconds: float, slo: float | None
) -> RenderableType:
    """The moment as a panel."""
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
    spark = Text("p95, second by second  ", style="dim")
    spark.append(sparkline(now.spark), style="red" if over else "cyan")
    bar = Table.grid(expand=True)
    bar.add_column(ratio=1)
    bar.add_column(justify="right", width=14)
    done = min(max(now.at, 0.0), seconds)
    bar.add_row(ProgressBar(total=seconds, completed=done), f"{done:.0f} of {seconds:.0f} s")
    return Panel(
        Group(bar, _named(counts), _named(times), spark),
        title=title,
        title_align="left",
        border_style="dim",
    )


def _named(cells: list[tuple[str, str, str]]) -> Text:
    """Names and values in one line; each of a fixed width, so that nothing jumps."""
    line = Text()
    for name, value, style in cells:
        line.append(f"{name} ", style="dim")
        line.append(f"{value:<{9 if name == 'planned' else 7}}", style=style)
    return line


class Watch:
    """Shows a run while it goes on. Use it as a context manager around the run.

    On a terminal it draws a panel four times a second; elsewhere it prints a line each second.
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
        """What Prometheus said last."""
        self._over = threading.Event()
        show = self._draw if console.is_terminal else self._print
        # Prometheus has a thread of its own, so that a slow answer does not freeze the picture.
        self._threads = [threading.Thread(target=show, name="watch", daemon=True)]
        if prometheus is not None:
            self._threads.append(
                threading.Thread(target=self._ask, args=(prometheus,), name="signals", daemon=True)
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
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _now(self) -> Moment:
        return moment(self._recording, time.monotonic() - self._started())

    def _draw(self) -> None:
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                over = self._over.wait(FRAME_SECONDS)
                frame = picture(
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
            over = self._over.wait(LINE_SECONDS)
            self._console.print(
                plain(self._now(), dict(self.signals)), highlight=False, soft_wrap=True
            )

    def _ask(self, prometheus: Prometheus) -> None:
        while not self._over.is_set():
            for name in EXPRESSIONS:
                try:
                    value = prometheus.now(name)
                except PrometheusError:
                    # The run goes on without; its end says so once, in words.
                    value = None
                if value is None:
                    self.signals.pop(name, None)
                else:
                    self.signals[name] = value
            self._over.wait(LINE_SECONDS)
