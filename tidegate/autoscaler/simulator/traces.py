"""Traces: how many requests a second over time, and what goes wrong meanwhile."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

UNIT_SECONDS: Final = {"second": 1.0, "minute": 60.0}
MAX_INTERVALS: Final = 1_000_000
DAY_SECONDS: Final = 86_400.0
# A request takes some 130 bytes while it is played, and each core plays a run of its own: 2.6 GB each.
MAX_REQUESTS: Final = 20_000_000

Floats = npt.NDArray[np.float64]
BlackoutKind = Literal["missing", "nan", "frozen", "reset"]


class TraceError(ValueError):
    """A trace cannot be had. The text names it, the line, and what was wrong."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """Requests that get a slot from `start` to `end` (seconds) hold it `factor` times as long."""

    start: float
    end: float
    factor: float


@dataclass(frozen=True, slots=True)
class Blackout:
    """From `start` to `end` (seconds), metrics are not to be had, or not to be believed.

    Attributes:
        start: when it begins.
        end: when it ends.
        kind: `missing` series; `nan` for each value; `frozen` at the last value, with a fresh time;
            `reset`: the counters begin anew at the start, so that rates begin at 0.
    """

    start: float
    end: float
    kind: BlackoutKind


@dataclass(frozen=True, eq=False, slots=True)
class Trace:
    """Requests a second in each interval of the same length.

    Attributes:
        name: as it stands in tables.
        interval_seconds: length of an interval.
        rates: requests a second, an interval after the other.
        slownesses: when the service is slower.
        blackouts: when its metrics are lost.
        earlier: the rates of earlier days, each from the same time of day on.
    """

    name: str
    interval_seconds: float
    rates: Floats
    slownesses: tuple[Slowness, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    earlier: tuple[Floats, ...] = ()

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.interval_seconds * len(self.rates)

    def slowness(self, at: float) -> float:
        """How many times as long requests hold their slot that get it at this time."""
        return math.prod(slow.factor for slow in self.slownesses if slow.start <= at < slow.end)

    def next_change(self, after: float) -> float:
        """When that changes next; `inf` if it does not."""
        edges = (edge for slow in self.slownesses for edge in (slow.start, slow.end))
        return min((edge for edge in edges if edge > after), default=math.inf)

    def with_peak(self, rate: float) -> Trace:
        """The same shape, with this highest rate in requests a second.

        Raises:
            TraceError: the rate is not above 0, or so high that there are too many requests.
        """
        if not (math.isfinite(rate) and rate > 0):
            raise TraceError(f"a peak must be above 0 requests a second, got {rate:g}")
        factor = rate / self.rates.max()
        earlier = tuple(rates * factor for rates in self.earlier)
        scaled = replace(self, rates=self.rates * factor, earlier=earlier)
        total = float(scaled.rates.sum()) * self.interval_seconds
        if total > MAX_REQUESTS:
            raise TraceError(
                f"{self.name}: with a peak of {rate:g} requests a second it has {total:.3g} requests;"
                f" {MAX_REQUESTS:,} can be played, so take a lower peak"
            )
        return scaled

    def expected_rate(self, at: float, ahead_seconds: float) -> float | None:
        """As Prometheus would be asked: the largest rate ahead, in the median over earlier days.

        Earlier days are those given, and those that lie in the trace itself; None without one.
        """
        found = [
            _largest(rates, at, ahead_seconds, self.interval_seconds) for rates in self.earlier
        ]
        found += [
            _largest(self.rates, begin, ahead_seconds, self.interval_seconds)
            for begin in np.arange(at - DAY_SECONDS, -1.0, -DAY_SECONDS)
        ]
        known = [rate for rate in found if rate is not None]
        return float(np.median(known)) if known else None


def _largest(rates: Floats, begin: float, seconds: float, interval: float) -> float | None:
    part = rates[int(begin // interval) : math.ceil((begin + seconds) / interval)]
    return float(part.max()) if len(part) else None


def read_csv(path: Path, max_requests: float = MAX_REQUESTS) -> Trace:
    """A trace from a CSV file.

    The header's first column is `second` or `minute`, which is also the length of an interval; it
    counts the intervals, and those left out have no request. The second column counts requests, and no
    more than `most_requests` in sum.

    Raises:
        TraceError: the file cannot be read as a trace.
        OSError: it cannot be read at all.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TraceError(f"{path}: cannot be read as a trace: {error}") from error
    header = [name.strip().lower() for name in lines[0]] if lines else []
    if len(header) < 2 or header[0] not in UNIT_SECONDS:
        raise TraceError(
            f"{path}:1: the first column must be 'second' or 'minute', the next a count; got {header}"
        )
    counts: dict[int, float] = {}
    total = 0.0
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        index, count = _read_line(line)
        if index < 0 or index in counts or not (math.isfinite(count) and count >= 0):
            raise TraceError(
                f"{path}:{number}: needs a new interval's number and a count, got {','.join(line)!r}"
            )
        counts[index] = count
        total += count
        if total > max_requests:
            raise TraceError(
                f"{path}:{number}: {count:.3g} requests here, {total:.3g} up to here; {max_requests:,}"
                " can be played, so take a part of the file, or rescale it by --peak"
            )
    if not any(counts.values()):
        raise TraceError(f"{path}: counts no request")
    first, last = min(counts), max(counts)
    if last - first >= MAX_INTERVALS:
        raise TraceError(f"{path}: more than {MAX_INTERVALS:,} intervals")
    rates = np.zeros(last - first + 1)
    for index, count in counts.items():
        rates[index - first] = count
    seconds = UNIT_SECONDS[header[0]]
    return Trace(path.stem, seconds, rates / seconds)


def _read_line(line: list[str]) -> tuple[int, float]:
    """The interval and its count; -1 if they are none."""
    try:
        return int(line[0]), float(line[1])
    except (ValueError, IndexError):
        return -1, 0.0
