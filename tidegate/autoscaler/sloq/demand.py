"""How many requests a second to be ready for, when a replica started now will be ready."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.state import TimedValue

SHORT_SECONDS: Final = 15.0
LONG_SECONDS: Final = 60.0
# A rate over a window is the rate of its middle, half a window ago.
LAG_SECONDS: Final = (LONG_SECONDS - SHORT_SECONDS) / 2


@dataclass(frozen=True, slots=True)
class Demand:
    """Arrival rates in requests a second.

    Attributes:
        now: what arrives: the larger of the two windows' rates.
        ahead: what will arrive when a replica started now is ready.
    """

    now: float
    ahead: float


def forecast(
    rate_15s: float, rate_60s: float, horizon_seconds: float, sigmas: float, max_factor: float
) -> Demand:
    """Follow a rise to when it can be answered; take a fall for noise, as it costs little to wait.

    A rise is the difference of the windows' rates over the 22.5 s between their middles. It counts
    if it is more than `sigmas` standard deviations of that difference for Poisson arrivals of the
    long window's rate, λ₆₀·(1/15 - 1/60) (the short window is part of the long one). It is followed
    to no more than `most` times the short window's rate.

    Args:
        rate_15s: requests a second over the last 15 s.
        rate_60s: the same over the last minute.
        horizon_seconds: how far to look ahead of now.
        sigmas: what tells a rise from noise.
        max_factor: times the short window's rate that are looked ahead to, at most.
    """
    now = max(rate_15s, rate_60s)
    rise = rate_15s - rate_60s
    noise = math.sqrt(rate_60s * (1 / SHORT_SECONDS - 1 / LONG_SECONDS))
    if rise <= sigmas * noise:
        return Demand(now, now)
    slope = rise / LAG_SECONDS
    ahead = rate_15s + slope * (horizon_seconds + SHORT_SECONDS / 2)
    return Demand(now, max(now, min(ahead, max_factor * rate_15s)))


def learn_reserve(
    reserve: float,
    expected: tuple[TimedValue, ...],
    rate_15s: float,
    now: float,
    *,
    horizon_seconds: float,
    coverage: float,
    step: float,
) -> tuple[float, tuple[TimedValue, ...]]:
    """Move the burst reserve towards what covers this share of all surprises.

    A surprise is how much more arrives now than was expected when a replica had to be started to be
    ready now. Each one that the reserve did not cover raises it, each that it did lowers it a
    little, so that in the long run it covers `coverage` of them, however they are distributed: the
    online quantile of I. Gibbs and E. Candès, "Adaptive conformal inference under distribution
    shift", NeurIPS 2021.

    Args:
        reserve: in requests a second.
        expected: what was expected at earlier ticks, oldest first.
        rate_15s: what arrives now, in requests a second.
        now: in seconds.
        horizon_seconds: how long before now a replica had to be started.
        coverage: the share of surprises to cover; 0 means no reserve.
        step: how far one surprise moves it, as a share of the rate.

    Returns:
        The reserve, and the expectations that are still to be tested.
    """
    due = [rate for at, rate in expected if at <= now - horizon_seconds]
    pending = tuple(pair for pair in expected if pair[0] > now - horizon_seconds)
    if not due or coverage <= 0:
        return (reserve if coverage > 0 else 0.0), pending
    uncovered = rate_15s - due[-1] > reserve
    # The scale is the larger rate of then and now: a surprise of any size is answered in proportion. Where
    # nothing comes it is the reserve, or that of the last burst would keep replicas for ever.
    scale = step * (max(rate_15s, due[-1]) or reserve)
    moved = reserve + scale * (coverage if uncovered else coverage - 1)
    return max(0.0, moved), pending
