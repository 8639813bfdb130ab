"""Traces: arrival rates over time, slow phases and metric blackouts."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from tidegate.autoscaler.wrappers.daily_rise import (
    AHEAD_SECONDS,
    DAY_SECONDS,
    DAYS,
    LEVEL_SECONDS,
    READ_SECONDS,
    RECENT_SECONDS,
)

MINUTE: Final = 60.0
UNIT_SECONDS: Final = {"second": 1.0, "minute": 60.0}
MAX_INTERVALS: Final = 1_000_000
# A simulated request takes some 130 bytes, and each core runs a simulation of its own: 2.6 GB each.
MAX_REQUESTS: Final = 20_000_000

Floats = npt.NDArray[np.float64]
BlackoutKind = Literal["missing", "nan", "frozen", "reset"]


class TraceError(ValueError):
    """A trace is invalid or missing. The text has its name, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """Requests that start from `start` to `end` (seconds) take `factor` times as long."""

    start: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True)
class Blackout:
    """From `start` to `end` (seconds), metrics are missing or wrong.

    `missing` series; `nan` for each value; `frozen` at the last value, with a current time; `reset`: the
    counters restart at `start`, so that rates begin at 0.
    """

    start: float
    end: float
    kind: BlackoutKind


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How requests arrive at a trace's rates.

    Attributes:
        counts: the requests of an interval: `poisson`; `clumped`: negative binomial; `exact`: the trace's
            own number, rounded so that no request is lost.
        dispersion: the variance of clumped counts as a multiple of their mean, above 1.
        together: requests of an interval arrive at its begin, as a batch; else at uniform times within it.
        noise_cv: coefficient of variation of a lognormal factor of the rate, another one for each seed.
        noise_seconds: the time in which the correlation of that factor falls to 1/e.
    """

    counts: Literal["poisson", "clumped", "exact"] = "poisson"
    dispersion: float = 1.0
    together: bool = False
    noise_cv: float = 0.0
    noise_seconds: float = 60.0


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """Requests a second, in intervals of equal length.

    Earlier days have rates from the same time of day on.
    """

    name: str
    interval_seconds: float
    rates: Floats
    slownesses: tuple[Slowness, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    earlier: tuple[Floats, ...] = ()
    arrivals: Arrivals = Arrivals()

    @property
    def seconds(self) -> float:
        """The length in seconds."""
        return self.interval_seconds * len(self.rates)

    def slowness(self, at: float) -> float:
        """The factor by which requests that start at this time take longer."""
        return math.prod(slow.factor for slow in self.slownesses if slow.start <= at < slow.end)

    def next_change(self, after: float) -> float:
        """When the slowness changes next; `inf` if it does not."""
        edges = (edge for slow in self.slownesses for edge in (slow.start, slow.end))
        return min((edge for edge in edges if edge > after), default=math.inf)

    def with_peak(self, rate: float) -> Trace:
        """The trace rescaled to this maximum rate in requests a second.

        Raises:
            TraceError: the rate is not above 0, or leads to too many requests.
        """
        if not (math.isfinite(rate) and rate > 0):
            raise TraceError(f"a peak must be above 0 requests a second, got {rate:g}")
        factor = rate / self.rates.max()
        earlier = tuple(rates * factor for rates in self.earlier)
        scaled = replace(self, rates=self.rates * factor, earlier=earlier)
        total = float(scaled.rates.sum()) * self.interval_seconds
        if total > MAX_REQUESTS:
            raise TraceError(
                f"{self.name}: a peak of {rate:g} requests a second makes {total:.3g} requests, more than the"
                f" maximum of {MAX_REQUESTS:,}; use a lower peak"
            )
        return scaled

    def daily_rates(self, at: float) -> list[list[float]]:
        """As read from Prometheus (`daily_rise.Rates`): of today and of each earlier day.

        Earlier days are those in `earlier` and those in the trace itself; empty without any.
        """
        days = [(rates, at) for rates in self.earlier]
        days += [(self.rates, begin) for begin in np.arange(at - DAY_SECONDS, 0.0, -DAY_SECONDS)]
        if not days:
            return []
        interval = self.interval_seconds
        earlier = (_rates_around(rates, interval, begin) for rates, begin in days[:DAYS])
        return [_rates_around(self.rates, interval, at, ahead=False), *earlier]


def _rates_around(
    rates: Floats, interval_seconds: float, at: float, *, ahead: bool = True
) -> list[float]:
    """Of a day, the rates before that time and, if wanted, `ahead` of it; empty if it has none."""
    ahead_seconds = float(max(AHEAD_SECONDS)) if ahead else 0.0
    first = max(0, int((at - LEVEL_SECONDS - MINUTE) // interval_seconds))
    part = rates[first : math.ceil((at + ahead_seconds) / interval_seconds)]
    edges = (first + np.arange(len(part) + 1)) * interval_seconds
    if at <= edges[0] or at > edges[-1]:
        return []
    requests = np.append(0.0, np.cumsum(part) * interval_seconds)

    def mean(begin: Floats, end: Floats) -> Floats:
        begin = np.maximum(begin, edges[0])
        counts = np.interp(end, edges, requests) - np.interp(begin, edges, requests)
        return np.asarray(counts / (end - begin), np.float64)

    ends = at + np.arange(-RECENT_SECONDS, ahead_seconds + 1, READ_SECONDS)
    ends = ends[(ends > edges[0]) & (ends <= edges[-1])]
    minutes = mean(ends - MINUTE, ends)
    level = mean(np.array([at - LEVEL_SECONDS]), np.array([at]))[0]
    found = [float(level), float(minutes[ends <= at].max())]
    if ahead:
        within = (minutes[(ends >= at) & (ends <= at + end)] for end in AHEAD_SECONDS)
        found += [float(one.max()) for one in within]
    return found


def read_csv(path: Path, max_requests: float = MAX_REQUESTS) -> Trace:
    """A trace from a CSV file.

    The first column is named `second` or `minute`, the length of an interval, and holds the interval's
    number; missing intervals have no requests. The second column holds the number of requests, at most
    `max_requests` in total.

    Raises:
        TraceError: the file is not a valid trace.
        OSError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: not a valid trace: {error}") from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if len(header) < 2 or header[0] not in UNIT_SECONDS:
        raise TraceError(
            f"{path}:1: expected a column 'second' or 'minute' and one of counts, got {header}"
        )
    counts: dict[int, float] = {}
    total = 0.0
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        index, count = _read_line(line)
        if index < 0 or index in counts or not (math.isfinite(count) and count >= 0):
            raise TraceError(
                f"{path}:{number}: expected a new interval's number and a count, got {','.join(line)!r}"
            )
        counts[index] = count
        total += count
        if total > max_requests:
            raise TraceError(
                f"{path}:{number}: {total:.3g} requests up to here, more than the maximum of"
                f" {max_requests:,}; use a part of the file, or rescale it with --peak"
            )
    if not any(counts.values()):
        raise TraceError(f"{path}: no requests")
    first, last = min(counts), max(counts)
    if last - first >= MAX_INTERVALS:
        raise TraceError(f"{path}: more than {MAX_INTERVALS:,} intervals")
    rates = np.zeros(last - first + 1)
    for index, count in counts.items():
        rates[index - first] = count
    seconds = UNIT_SECONDS[header[0]]
    return Trace(path.stem, seconds, rates / seconds)


def _read_line(line: list[str]) -> tuple[int, float]:
    """The interval and its count; the interval is -1 if the line is invalid."""
    try:
        return int(line[0]), float(line[1])
    except (ValueError, IndexError):
        return -1, 0.0
