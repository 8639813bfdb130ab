"""The signals of a policy inside Ray: from the context that Ray calls it with, without Prometheus."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tidegate.autoscaler.histograms import histogram_quantile
from tidegate.autoscaler.types import Signals
from tidegate.ray.counters import (
    BUSY,
    LATENCY,
    OBJECTIVE_SLOT_SECONDS,
    SLOT_SECONDS,
    SLOTS,
    WAITING,
    edges,
)
from tidegate.ray.totals import Growth, Totals

ARRIVALS: Final = "arrivals"
SHORT_SECONDS: Final = 15.0
LONG_SECONDS: Final = 60.0
GAUGES: Final = frozenset({SLOTS, BUSY, WAITING})
NEW_SECONDS: Final = 10.0
"""How long a new replica may take to send its first counters; until then it makes no signal old."""


class InsideSignals:
    """Builds the signals of each tick."""

    def __init__(self, slo_quantile: float) -> None:
        self._slo_quantile = slo_quantile
        self._totals = Totals()
        self._busiest: deque[tuple[float, float]] = deque()
        self._seen_since: dict[str, float] = {}

    def read(self, context: Any, now: float) -> Signals:
        """The signals now.

        The context is Ray's `ray.serve.config.AutoscalingContext`; `now` is on a clock that does not go back.
        """
        running = [str(one) for one in context.running_replicas]
        self._seen_since = {one: self._seen_since.get(one, now) for one in running}
        latest = _latest(context.raw_metrics or {})
        counters = {replica: values for replica, (_, values) in latest.items()}
        busy = sum(values.get(BUSY, 0.0) for values in counters.values()) if counters else None
        queued = _queued(context, counters)
        in_system = None if busy is None or queued is None else busy + queued
        self._totals.observe(
            now,
            {name: _cumulative(one) for name, one in counters.items()},
            # A request that waits has arrived; no replica has begun it.
            levels={ARRIVALS: queued or 0.0},
        )
        self._totals.forget_ended(frozenset(running))
        short, long = self._totals.growth(SHORT_SECONDS), self._totals.growth(LONG_SECONDS)
        age, silent = self._age(context, latest, running, now)
        self._observe_busiest(now, counters)
        return Signals(
            arrival_rate=None if short is None else short.rate(ARRIVALS),
            arrival_rate_60s=None if long is None else long.rate(ARRIVALS),
            completed_rate=None if short is None else short.rate(f"{SLOT_SECONDS}_count"),
            service_seconds=_mean(long, SLOT_SECONDS),
            service_seconds_p95=_quantile(long, OBJECTIVE_SLOT_SECONDS, 0.95),
            latency_seconds=_quantile(long, LATENCY, self._slo_quantile),
            in_system=in_system,
            busy=busy,
            queued=queued,
            slots_per_replica=_slots(counters),
            busiest=max((value for _, value in self._busiest), default=None),
            ready=len(running),
            running=max(len(running), context.target_num_replicas),
            desired=context.target_num_replicas,
            age_seconds=age,
            problem=f"no counters of {', '.join(silent)}" if silent else "",
            unix_seconds=context.current_time,
        )

    def _age(
        self,
        context: Any,
        latest: Mapping[str, tuple[float, Mapping[str, float]]],
        running: Sequence[str],
        now: float,
    ) -> tuple[float | None, list[str]]:
        """The age of the oldest counters, and the replicas that have sent none for too long."""
        silent = [
            one
            for one in running
            if one not in latest and now - self._seen_since[one] > NEW_SECONDS
        ]
        times = [at for replica, (at, _) in latest.items() if replica in running]
        if not times or context.current_time is None:
            return None, silent
        return max(0.0, context.current_time - min(times)), silent

    def _observe_busiest(self, now: float, counters: Mapping[str, Mapping[str, float]]) -> None:
        if counters:
            self._busiest.append((now, max(one.get(BUSY, 0.0) for one in counters.values())))
        while self._busiest and self._busiest[0][0] < now - LONG_SECONDS:
            self._busiest.popleft()


def _latest(
    metrics: Mapping[str, Mapping[Any, Sequence[Any]]],
) -> dict[str, tuple[float, dict[str, float]]]:
    """The newest values by replica, and the time of the oldest of them."""
    found: dict[str, tuple[float, dict[str, float]]] = {}
    for name, replicas in metrics.items():
        if not name.startswith("tidegate_"):
            continue
        for replica, samples in replicas.items():
            if not samples:
                continue
            newest = samples[-1]
            at, values = found.get(str(replica), (math.inf, {}))
            values[name] = float(newest.value)
            found[str(replica)] = (min(at, newest.timestamp), values)
    return found


def _cumulative(counters: Mapping[str, float]) -> dict[str, float]:
    """The counters without gauges, and the requests that have begun: the finished and the present ones."""
    cumulative = {name: value for name, value in counters.items() if name not in GAUGES}
    begun = counters.get(f"{SLOT_SECONDS}_count", 0.0) + counters.get(BUSY, 0.0)
    return cumulative | {ARRIVALS: begun}


def _queued(context: Any, counters: Mapping[str, Mapping[str, float]]) -> float | None:
    """The requests that wait, in Ray's routers or, behind its HAProxy, in the replicas; None if unknown."""
    in_routers: float | None = context.total_queued_requests
    if in_routers is None or not math.isfinite(in_routers):
        return None
    return max(0.0, in_routers) + sum(one.get(WAITING, 0.0) for one in counters.values())


def _slots(counters: Mapping[str, Mapping[str, float]]) -> int | None:
    slots = max((one.get(SLOTS, 0.0) for one in counters.values()), default=0.0)
    return int(slots) if math.isfinite(slots) and slots >= 1 else None


def _mean(growth: Growth | None, name: str) -> float | None:
    if growth is None or not growth.by.get(f"{name}_count"):
        return None
    return growth.by.get(f"{name}_sum", 0.0) / growth.by[f"{name}_count"]


def _quantile(growth: Growth | None, name: str, share: float) -> float | None:
    if growth is None:
        return None
    buckets = edges(growth.by, name)
    finite = [edge for edge in buckets if math.isfinite(edge)]
    return histogram_quantile(share, finite, [growth.by[one] for one in buckets.values()])
