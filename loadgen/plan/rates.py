r"""Rate shapes: tiny value types that all lower to segments of linear rate.

A segment of `T` seconds whose rate goes from `a` to `b` requests a second has sent, `t` seconds in,

    Λ(t) = a·t + (b - a)·t² / (2T)            and in all  Λ(T) = T·(a + b)/2.

Its inverse, in the form that loses no digits as `a` or `b - a` goes to zero, is

    t(Λ) = 2Λ / (a + √(a² + 2Λ·(b - a)/T)).

Lengths and rates are exact fractions of the decimals that a person wrote, so that 40 s at 30 a second
are 1200 requests, and 10 s at 0.1 a second are one, whatever binary floating point thinks of 0.1.
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
    """The fraction that the shortest decimal form of this number stands for."""
    return Fraction(repr(decimal))


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of linear rate: seconds, and requests a second at its start and end."""

    seconds: Fraction
    start_rate: Fraction
    end_rate: Fraction

    @property
    def requests(self) -> Fraction:
        """How many requests it sends: Λ(T)."""
        return self.seconds * (self.start_rate + self.end_rate) / 2

    def when(self, requests: float) -> float:
        """Seconds into the segment at which so many requests were sent: t(Λ), within [0, T]."""
        if requests <= 0:
            return 0.0
        start = float(self.start_rate)
        slope = float((self.end_rate - self.start_rate) / self.seconds)
        root = math.sqrt(max(0.0, start * start + 2 * slope * requests))
        return min(2 * requests / (start + root), float(self.seconds))


class Phase(BaseModel):
    """A part of a scenario; phases follow one another."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Constant(Phase):
    """One rate."""

    kind: Literal["constant"]
    seconds: Seconds
    """How long."""
    rate: Rate
    """Requests a second."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = rate."""
        yield _level(self.seconds, self.rate)


class Steps(Phase):
    """One rate after the other, each for the same time."""

    kind: Literal["steps"]
    seconds: Seconds
    """How long each step lasts."""
    rates: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=1000)]
    """Requests a second of each step."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = rates[⌊t / seconds⌋]."""
        for rate in self.rates:
            yield _level(self.seconds, rate)


class Ramp(Phase):
    """A rate that rises or falls evenly."""

    kind: Literal["ramp"]
    seconds: Seconds
    """How long."""
    start_rate: Rate
    """Requests a second at the start."""
    end_rate: Rate
    """Requests a second at the end."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = start_rate + (end_rate - start_rate)·t / seconds."""
        yield Segment(exact(self.seconds), exact(self.start_rate), exact(self.end_rate))


class Spike(Phase):
    """A base rate, suddenly a peak, the base rate again."""

    kind: Literal["spike"]
    base_rate: Rate
    """Requests a second before and after."""
    peak_rate: Rate
    """Requests a second in the spike."""
    before_seconds: Seconds
    """How long before the spike."""
    peak_seconds: Seconds
    """How long the spike lasts."""
    after_seconds: Seconds
    """How long after the spike."""

    def segments(self) -> Iterator[Segment]:
        """λ(t) = peak_rate while 0 ≤ t - before_seconds < peak_seconds, else base_rate."""
        yield _level(self.before_seconds, self.base_rate)
        yield _level(self.peak_seconds, self.peak_rate)
        yield _level(self.after_seconds, self.base_rate)


def from_counts(
    counts: Iterable[Fraction], *, interval_seconds: float, speed: float, scale: float
) -> Iterator[Segment]:
    """A segment for each interval of a trace of counts, `speed` times faster, `scale` times as many.

    λ(t) = scale·counts[⌊t / w⌋] / w with w = interval_seconds / speed.
    """
    width = exact(interval_seconds) / exact(speed)
    factor = exact(scale)
    for count in counts:
        rate = count * factor / width
        yield Segment(width, rate, rate)


def _level(seconds: float, rate: float) -> Segment:
    return Segment(exact(seconds), exact(rate), exact(rate))
