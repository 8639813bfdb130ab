"""The arrival rate to size for: when a replica started now becomes ready."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.state import TimedValue

SHORT_SECONDS: Final = 15.0
LONG_SECONDS: Final = 60.0
# The rate over a window is the rate at its middle, half a window ago.
LAG_SECONDS: Final = (LONG_SECONDS - SHORT_SECONDS) / 2


@dataclass(frozen=True, slots=True)
class Demand:
    """Arrival rates in requests a second.

    Attributes:
        now: the current rate: the larger of the two windows' rates.
        ahead: the forecast for the time at which a replica started now is ready.
    """

    now: float
    ahead: float


def forecast(
    rate_15s: float, rate_60s: float, horizon_seconds: float, sigmas: float, max_factor: float
) -> Demand:
    """Extrapolate a rise to the horizon; treat a fall as noise, since waiting costs little.

    A rise is the difference of the windows' rates over the 22.5 s between their middles. It counts
    if it is more than `sigmas` standard deviations of that difference for Poisson arrivals of the
    long window's rate, λ₆₀·(1/15 - 1/60) (the short window is part of the long one). The
    forecast is at most `max_factor` times the short window's rate.

    Args:
        rate_15s: requests a second over the last 15 s.
        rate_60s: the same over the last minute.
        horizon_seconds: how far ahead to forecast.
        sigmas: the threshold between noise and a rise, in standard deviations.
        max_factor: the maximum of the forecast, as a multiple of the short window's rate.
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
    """Move the burst reserve towards covering this fraction of all forecast errors.

    A forecast error is the current rate minus the rate forecast when a replica that is ready now had to be
    started. An error above the reserve raises it, one below lowers it a little, so that in the long run
    it covers `coverage` of them, whatever their distribution: the online quantile of I. Gibbs and
    E. Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.

    Args:
        reserve: in requests a second.
        expected: the forecasts of earlier ticks, oldest first.
        rate_15s: the current rate, in requests a second.
        now: in seconds.
        horizon_seconds: how long before now that replica had to be started.
        coverage: the fraction of errors to cover; 0 means no reserve.
        step: how far one error moves the reserve, as a fraction of the rate.

    Returns:
        The reserve, and the forecasts that are not yet due.
    """
    due = [rate for at, rate in expected if at <= now - horizon_seconds]
    pending = tuple(pair for pair in expected if pair[0] > now - horizon_seconds)
    if not due or coverage <= 0:
        return (reserve if coverage > 0 else 0.0), pending
    uncovered = rate_15s - due[-1] > reserve
    # The scale is the larger of the two rates, so that the step is proportional to the load. Without traffic
    # it is the reserve itself; otherwise the reserve of the last burst would keep replicas forever.
    scale = step * (max(rate_15s, due[-1]) or reserve)
    moved = reserve + scale * (coverage if uncovered else coverage - 1)
    return max(0.0, moved), pending
