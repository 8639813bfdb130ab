r"""Rate shapes: value types that are converted to segments of linear rate.

After `t` of the `T` seconds of a segment whose rate changes from `a` to `b` requests per second, it has sent

    Λ(t) = a·t + (b - a)·t² / (2T)            in total     Λ(T) = T·(a + b)/2.

Its inverse, in a numerically stable form for `a` or `b - a` near zero, is

    t(Λ) = 2Λ / (a + √(a² + 2Λ·(b - a)/T)).

Durations and rates are exact fractions of the decimals in the scenario, so that 40 s at 30 requests per
second are 1200 requests, and 10 s at 0.1 per second are one, without floating-point error.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


def exact(decimal: float) -> Fraction:
    """Return the fraction that equals the shortest decimal form of the number."""
    return Fraction(repr(decimal))


@dataclass(frozen=True, slots=True)
class Segment:
    """An interval of linear rate: its seconds, and the requests per second at its start and end."""

    seconds: Fraction
    start_rate: Fraction
    end_rate: Fraction

    @property
    def requests(self) -> Fraction:
        """The number of requests: Λ(T)."""
        return self.seconds * (self.start_rate + self.end_rate) / 2

    def time_of(self, requests: float) -> float:
        """Return the time in the segment at which this number of requests was sent: t(Λ), within [0, T]."""
        if requests <= 0:
            return 0.0
        start = float(self.start_rate)
        slope = float((self.end_rate - self.start_rate) / self.seconds)
        root = math.sqrt(max(0.0, start * start + 2 * slope * requests))
        return min(2 * requests / (start + root), float(self.seconds))


class Phase(BaseModel):
    """A part of a scenario. Phases are executed one after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Constant(Phase):
    """A constant rate."""

    kind: Literal["constant"]
    seconds: Seconds
    """Duration."""
    rate: Rate
    """Requests per second."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = rate."""
        yield _level(self.seconds, self.rate)


class Steps(Phase):
    """Several constant rates, each for the same time."""

    kind: Literal["steps"]
    seconds: Seconds
    """Duration of each step."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=1000)]
    """Requests per second of each step."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = rates[⌊t / seconds⌋]."""
        for rate in self.rates:
            yield _level(self.seconds, rate)


class Ramp(Phase):
    """A rate that changes linearly."""

    kind: Literal["ramp"]
    seconds: Seconds
    """Duration."""
    start_rate: Rate
    """Requests per second at the start."""
    end_rate: Rate
    """Requests per second at the end."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = start_rate + (end_rate - start_rate)·t / seconds."""
        yield Segment(exact(self.seconds), exact(self.start_rate), exact(self.end_rate))


class Spike(Phase):
    """A base rate, interrupted by a peak rate."""

    kind: Literal["spike"]
    base_rate: Rate
    """Requests per second before and after the spike."""
    peak_rate: Rate
    """Requests per second during the spike."""
    before_seconds: Seconds
    """Duration before the spike."""
    peak_seconds: Seconds
    """Duration of the spike."""
    after_seconds: Seconds
    """Duration after the spike."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = peak_rate while 0 ≤ t - before_seconds < peak_seconds, else base_rate."""
        yield _level(self.before_seconds, self.base_rate)
        yield _level(self.peak_seconds, self.peak_rate)
        yield _level(self.after_seconds, self.base_rate)


def from_counts(
    counts: Iterable[Fraction], *, interval_seconds: float, speed: float, scale: float
) -> Iterator[Segment]:
    """Return a segment for each interval of a trace, `speed` times faster, with `scale` times the requests.

    λ(t) = scale·counts[⌊t / w⌋] / w with w = interval_seconds / speed.
    """
    width = exact(interval_seconds) / exact(speed)
    factor = exact(scale)
    for count in counts:
        rate = count * factor / width
        yield Segment(width, rate, rate)


def _level(seconds: float, rate: float) -> Segment:
    return Segment(exact(seconds), exact(rate), exact(rate))
