"""Simulates the signals as Prometheus provides them: scrapes, rates over windows, histogram quantiles.

At a tick, a policy reads the values of the last scrape before it. Rates and means are increases between
scrapes; percentiles are interpolated within histogram buckets, as by `histogram_quantile`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tidegate.autoscaler.histograms import histogram_quantile
from tidegate.autoscaler.types import Signals
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Blackout, Floats

Counts = npt.NDArray[np.int64]

# Upper edges in seconds; the objective is added.
BUCKET_EDGES: Final = tuple(
    float(edge) * scale for scale in (0.001, 0.01, 0.1, 1.0, 10.0) for edge in (1, 1.6, 2.5, 4, 6.3)
)
# What is NaN where a query of Prometheus returns that for every series.
MEASURED: Final = (
    *("arrival_rate", "arrival_rate_60s", "service_seconds", "service_seconds_15s"),
    *("service_seconds_p95", "latency_seconds", "in_system", "in_system_60s", "busy", "busiest"),
    *("queued", "age_seconds", "completed_rate"),
)
SHORT_WINDOW_SECONDS: Final = 15.0
LONG_WINDOW_SECONDS: Final = 60.0


@dataclass(slots=True)
class SimulatedMetrics:
    """Counters and histograms of the service, scrape by scrape."""

    system: System
    seconds: float
    arrivals: Floats
    blackouts: tuple[Blackout, ...] = ()
    _edges: Floats = field(init=False)
    _seen: int = field(default=0, init=False)
    _counted: tuple[int, int, int] = field(default=(0, 0, 0), init=False)
    _starts: Counts = field(init=False)
    _ends: Counts = field(init=False)
    _service_sum: Floats = field(init=False)
    _service: Counts = field(init=False)
    _latency: Counts = field(init=False)
    _most: Counts | None = field(default=None, init=False)
    _frozen: Signals | None = field(default=None, init=False)
    _ready: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        # From here on, times count from the first scrape.
        self.arrivals = self.arrivals - self.system.scrape_phase_seconds
        scrapes = math.ceil(self.seconds / self.system.scrape_seconds) + 1
        self._edges = np.array(sorted({*BUCKET_EDGES, self.system.slo_seconds}))
        # By scrape: the events since the previous one. The last entry holds everything later.
        self._starts = np.zeros(scrapes + 1, np.int64)
        self._ends = np.zeros(scrapes + 1, np.int64)
        self._service_sum = np.zeros(scrapes + 1)
        self._service = np.zeros((scrapes + 1, len(self._edges) + 1), np.int64)
        self._latency = np.zeros_like(self._service)

    def record_started(
        self, started: Sequence[float], services: Floats, concurrency: Sequence[int] = ()
    ) -> None:
        """Record the requests that have started since the last call.

        All from the first one on; the concurrency of a request includes it, and is empty if unknown.
        """
        first, last = self._seen, len(started)
        if first == last:
            return
        self._seen = last
        starts = np.array(started[first:last]) - self.system.scrape_phase_seconds
        service = services[first:last]
        ends = starts + service
        at = self._scrape_after(ends)
        np.add.at(self._starts, self._scrape_after(starts), 1)
        np.add.at(self._ends, at, 1)
        np.add.at(self._service_sum, at, service)
        if concurrency:
            self._most = np.zeros_like(self._starts) if self._most is None else self._most
            most = np.array(concurrency[first:last], np.int64)
            np.maximum.at(self._most, self._scrape_after(starts), most)
        # The objective is about the first byte, or about the end.
        counted = service * self.system.first_byte_share
        at = self._scrape_after(starts + counted)
        np.add.at(self._service, (at, np.searchsorted(self._edges, counted)), 1)
        latency = starts + counted - self.arrivals[first:last]
        np.add.at(self._latency, (at, np.searchsorted(self._edges, latency)), 1)

    def read(self, now: float, *, ready: int, running: int, desired: int) -> Signals:
        """The signals of a tick; everything that started before `now` must be recorded."""
        blackout = next((b for b in self.blackouts if b.start <= now < b.end), None)
        if blackout is None or blackout.kind == "reset":
            phase = self.system.scrape_phase_seconds
            since = blackout.start - phase if blackout else -math.inf
            measured = self._measure(now - phase, since)
            busiest = self._busiest(now - phase, since, int(measured.busy or 0), ready)
            self._frozen = replace(measured, busiest=busiest)
            return replace(self._frozen, ready=ready, running=running, desired=desired)
        if blackout.kind == "frozen" and self._frozen is not None:
            return replace(self._frozen, ready=ready, running=running, desired=desired)
        lost = Signals(ready=ready, running=running, desired=desired)
        if blackout.kind == "nan":
            unknown: dict[str, Any] = dict.fromkeys(MEASURED, math.nan)
            return replace(lost, **unknown)
        return replace(lost, problem="Prometheus cannot be reached")

    def _measure(self, now: float, since: float) -> Signals:
        """The signals with counters that restart at `since`."""
        scrape = self._last_scrape(now)
        at = scrape * self.system.scrape_seconds
        arrived = self._arrived(at)
        started, ended = self._count(scrape)
        busy = started - ended

        window = slice(self._scrape_before(at - LONG_WINDOW_SECONDS, since) + 1, scrape + 1)
        edges = self._edges.tolist()
        service, latency = (
            each[window].sum(axis=0).cumsum().tolist() for each in (self._service, self._latency)
        )
        return Signals(
            arrival_rate=self._rate(at, arrived, SHORT_WINDOW_SECONDS, since),
            service_seconds=self._mean_service(at - LONG_WINDOW_SECONDS, scrape, since),
            in_system=float(arrived - started + busy),
            slots_per_replica=self.system.reported_slots or self.system.slots,
            latency_seconds=histogram_quantile(self.system.slo_quantile, edges, latency),
            age_seconds=now - at,
            arrival_rate_60s=self._rate(at, arrived, LONG_WINDOW_SECONDS, since),
            service_seconds_p95=histogram_quantile(0.95, edges, service),
            busy=float(busy),
            queued=float(arrived - started),
            in_system_60s=self._mean_in_system(at, since),
            service_seconds_15s=self._mean_service(at - SHORT_WINDOW_SECONDS, scrape, since),
            completed_rate=self._completed_rate(at, scrape, since),
        )

    def _count(self, scrape: int) -> tuple[int, int]:
        """How many requests have started and ended by a scrape, not before the one asked for last.

        What is recorded later has happened after a scrape that was read, so its sum is final.
        """
        begin, started, ended = self._counted
        if scrape + 1 > begin:
            started += int(self._starts[begin : scrape + 1].sum())
            ended += int(self._ends[begin : scrape + 1].sum())
            self._counted = (scrape + 1, started, ended)
        return started, ended

    def _mean_service(self, begin: float, scrape: int, since: float) -> float | None:
        """The mean time in a slot of the requests that have ended since `begin`."""
        window = slice(self._scrape_before(begin, since) + 1, scrape + 1)
        ended = int(self._ends[window].sum())
        return float(self._service_sum[window].sum()) / ended if ended else None

    def _completed_rate(self, at: float, scrape: int, since: float) -> float:
        """The requests a second that have left the slots within the short window before `at`."""
        first = self._scrape_before(at - SHORT_WINDOW_SECONDS, since)
        seconds = at - first * self.system.scrape_seconds
        return float(self._ends[first + 1 : scrape + 1].sum()) / seconds if seconds > 0 else 0.0

    def _mean_in_system(self, at: float, since: float) -> float:
        """The mean over the scrapes of a minute, as by `avg_over_time`."""
        last = round(at / self.system.scrape_seconds)
        # The window is open on the left.
        first = min(max(0, self._scrape_before(at - LONG_WINDOW_SECONDS, since) + 1), last)
        since_then = self._ends[first : last + 1]
        ended = self._count(last)[1] - int(since_then.sum()) + np.cumsum(since_then)
        scrapes = np.arange(first, last + 1) * self.system.scrape_seconds
        arrived = np.searchsorted(self.arrivals, scrapes, "right")
        return float((arrived - ended).mean())

    def _busiest(self, now: float, since: float, busy: int, ready: int) -> float:
        """The busiest replica's concurrent requests.

        With one queue, they are as if the gateway spread requests evenly: one of n replicas has
        at least 1/n of the requests, rounded up; n is the maximum of ready replicas in the window, since
        removed ones still finish their requests. The real value can only be higher.
        """
        self._ready.append((now, ready))
        while self._ready[0][0] < now - LONG_WINDOW_SECONDS:
            self._ready.popleft()
        scrape = self._last_scrape(now)
        first = self._scrape_before(
            scrape * self.system.scrape_seconds - LONG_WINDOW_SECONDS, since
        )
        window = slice(first + 1, scrape + 1)
        if self._most is not None:
            return float(self._most[window].max(initial=0))
        # Backwards from now, scrape by scrape.
        more = np.cumsum((self._ends[window] - self._starts[window])[::-1]).max(initial=0)
        replicas = max(1, *(count for _, count in self._ready))
        return float(math.ceil((busy + int(more)) / replicas))

    def _last_scrape(self, now: float) -> int:
        return max(0, math.ceil(now / self.system.scrape_seconds) - 1)

    def _rate(self, at: float, arrived: int, window: float, since: float) -> float:
        begin = self._scrape_before(at - window, since) * self.system.scrape_seconds
        if begin >= at:
            return 0.0
        return max(0, arrived - self._arrived(begin)) / (at - begin)

    def _arrived(self, at: float) -> int:
        return int(np.searchsorted(self.arrivals, at, "right"))

    def _scrape_before(self, begin: float, since: float) -> int:
        """The first scrape within the window; after a reset, the first with the new counters."""
        return max(math.ceil(max(begin, since) / self.system.scrape_seconds), 0)

    def _scrape_after(self, times: Floats) -> Counts:
        at = np.ceil(times / self.system.scrape_seconds).astype(np.int64)
        return np.minimum(at, len(self._ends) - 1)
