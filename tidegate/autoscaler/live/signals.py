"""The signals of a tick: recorded series from Prometheus, replicas from the resizer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp

from tidegate.autoscaler.types import Signals
from tidegate.resizer.contract import ReplicaStatus
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import Prometheus, Sample, Series

# Signals and their recorded series. Nothing here is derived from raw metrics.
SERIES: Final = {
    "arrival_rate": "service:arrival_rate:15s",
    "arrival_rate_60s": "service:arrival_rate:1m",
    "completed_rate": "service:completed_rate:15s",
    "service_seconds": "service:slot_seconds_mean:1m",
    "service_seconds_15s": "service:slot_seconds_mean:15s",
    "service_seconds_p95": "service:slot_objective_seconds_p95:1m",
    "busy": "service:slots_busy:now",
    "busiest": "service:slots_busy_most:1m",
    "queued": "service:queue:now",
    "in_system": "service:requests_in_system:now",
    "in_system_60s": "service:requests_in_system:1m",
    "slots_per_replica": "service:slots_per_replica:now",
    "latency_seconds": "service:latency_objective_quantile_seconds:1m",
    "scrape_age": "service:signal_age_seconds:now",
    "gateway_age_seconds": "service:gateway_age_seconds:now",
    "ejected": "service:replicas_ejected:now",
}
# Missing or NaN without requests, or while rules of an earlier version are loaded; that is no problem. The
# others have values as soon as the gateway and one replica have been scraped twice.
OPTIONAL_SERIES: Final = frozenset(
    {
        *("service_seconds", "service_seconds_p95", "latency_seconds"),
        *("service_seconds_15s", "completed_rate"),
        *("gateway_age_seconds", "busiest", "in_system_60s", "ejected"),
    }
)
# From metrics of replicas: missing without replicas, which is no problem.
REPLICA_SERIES: Final = frozenset({"busy", "in_system", "slots_per_replica", "scrape_age"})
# Tolerated difference between the clocks of two machines.
CLOCK_SLACK_SECONDS: Final = 1.0
# Above the limit of `slots.per_replica`.
MAX_SLOTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from Prometheus.

    Attributes:
        signals: without those of the resizer, the gateway and the clock, which `combine` adds.
        ejected: ready replicas that the gateway sends no requests, because their responses are errors.
        problems: by cause, the series that it concerns: the causes stay the same while an outage spreads from
            one series to the next.
        history_problem: why there are no rates of earlier days.
    """

    signals: Signals = field(default_factory=Signals)
    ejected: float | None = None
    problems: Mapping[str, Sequence[str]] = field(default_factory=dict)
    history_problem: str = ""

    @property
    def cause(self) -> str:
        """The problem of the signals without names of series; empty if there is none."""
        return "; ".join(self.problems)

    def without_replicas(self) -> Reading:
        """The same without problems of series that need a replica."""
        replica_series = {SERIES[signal] for signal in REPLICA_SERIES}
        others = {
            cause: [name for name in names if name not in replica_series]
            for cause, names in self.problems.items()
        }
        kept = {
            cause: names for cause, names in others.items() if names or not self.problems[cause]
        }
        return replace(
            self, signals=replace(self.signals, problem=_format_problems(kept)), problems=kept
        )


def combine(
    reading: Reading,
    status: ReplicaStatus | None,
    desired: int,
    resizer_problem: str,
    unix_seconds: float | None = None,
) -> Signals:
    """The signals of a tick. An ejected replica runs, but gives no capacity: it does not count as ready.

    Without a status of the resizer, no replica is known to be running.
    """
    return replace(
        reading.signals,
        problem="; ".join(text for text in (reading.signals.problem, resizer_problem) if text),
        ready=max(0, status.ready - int(reading.ejected or 0)) if status else 0,
        running=status.running if status else 0,
        desired=desired,
        unix_seconds=unix_seconds,
        slots_asked=status.slots if status else None,
        startups=status.startups if status else (),
    )


@dataclass(frozen=True, slots=True)
class PrometheusReader:
    """Reads every series with one query.

    Values older than `stale_seconds` are not used. The caller closes the session.

    Raises:
        ValueError: the URL is not one of HTTP.
    """

    url: str
    session: aiohttp.ClientSession
    stale_seconds: float
    timeout_seconds: float = 2.0
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", self.url):
            raise ValueError(f"prometheus: {self.url!r} is not http://HOST:PORT")

    async def read(self) -> Reading:
        """The current values. Never raises; returns a reading with a problem instead."""
        prometheus = Prometheus(self.session, self.url, self.timeout_seconds)
        try:
            series = await prometheus.query(query(self.stale_seconds))
        except HttpError as error:
            return Reading(Signals(problem=str(error)), problems={"unavailable": ()})
        return reading_from(series, self.clock(), self.stale_seconds)


def query(stale_seconds: float) -> str:
    """The query for the recent samples of every series.

    A range, because only that returns samples with their own times: an instant query stamps each value
    with the time of the query, although it can be 5 minutes old.
    """
    names = "|".join(SERIES.values())
    return f'{{__name__=~"{names}"}}[{math.ceil(stale_seconds * 1000)}ms]'


def reading_from(series: Sequence[Series], now: float, stale_seconds: float) -> Reading:
    """The reading in the series of `query`; any series give a reading or a problem."""
    values: dict[str, Any] = {}
    ages = [0.0]
    problems: dict[str, list[str]] = {}
    for signal, name in SERIES.items():
        newest = _newest(series, name)
        problem = _problem_with(signal, newest, now, stale_seconds)
        values[signal] = None if problem else newest[0][1]
        if signal not in OPTIONAL_SERIES:
            ages += [now - at for at, _ in newest]
            if problem:
                problems.setdefault(problem, []).append(name)
        elif signal == "gateway_age_seconds" and not problem:
            # As below: add the time since it was recorded.
            values[signal] += now - newest[0][0]
    scrape_age = values.pop("scrape_age")
    # The series holds the age of the scrapes when it was recorded; add the time since then.
    age = None if scrape_age is None else max(ages) + scrape_age
    if age is not None and age > stale_seconds:
        values = dict.fromkeys(values)
        problems[f"the metrics behind the signals are older than {stale_seconds:g} s"] = []
    if values["slots_per_replica"] is not None:
        values["slots_per_replica"] = int(values["slots_per_replica"])
    ejected = values.pop("ejected")
    return Reading(
        Signals(**values, age_seconds=age, problem=_format_problems(problems)),
        ejected=ejected,
        problems=problems,
    )


def _format_problems(problems: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(
        f"{problem}: {', '.join(names)}" if names else problem
        for problem, names in problems.items()
    )


def _newest(series: Iterable[Series], name: str) -> list[Sample]:
    """The newest sample of that name; several if several series have one at that time."""
    found = [
        one.samples[-1] for one in series if one.samples and one.labels.get("__name__") == name
    ]
    last = max((at for at, _ in found), default=0.0)
    return [sample for sample in found if sample[0] == last]


def _problem_with(signal: str, newest: list[Sample], now: float, stale_seconds: float) -> str:
    """Why the sample cannot be used, the same text for the same cause; empty if it can."""
    if len(newest) > 1:
        return "several series"
    at, value = newest[0] if newest else (math.nan, math.nan)
    if not now - at <= stale_seconds:
        return f"no sample within the last {stale_seconds:g} s"
    if not math.isfinite(value):
        return "not a number"
    if value < 0 or (signal == "slots_per_replica" and not 1 <= value <= MAX_SLOTS):
        return "impossible value"
    if at > now + CLOCK_SLACK_SECONDS:
        return "sample from the future: the clocks differ"
    return ""
