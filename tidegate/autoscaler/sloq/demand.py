"""The arrival rate to size for: when a replica started now becomes ready."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from tidegate.autoscaler.sloq.state import TimedValue

SHORT_SECONDS: Final = 15.0
LONG_SECONDS: Final = 60.0
STEP_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 20.0
# The fraction of a normal distribution within one standard deviation.
NORMAL_WITHIN: Final = 0.683
PEAKEDNESS_STEP: Final = 0.05
# The number of fewer requests is far from normal.
MIN_EXPECTED: Final = 2.0
FORGET: Final = 0.99
# The rate over a window is the rate at its middle, half a window ago.
LAG_SECONDS: Final = (LONG_SECONDS - SHORT_SECONDS) / 2


@dataclass(frozen=True, slots=True)
class Demand:
    """Arrival rates in requests a second.

    Attributes:
        now: the current rate: the larger of the two windows' rates.
        ahead: the forecast for the time at which a replica started now is ready.
        foreseen: what is expected until then because traffic repeats; 0 without a proof that it does.
    """

    now: float
    ahead: float
    foreseen: float = 0.0


def recent_rate(rates: tuple[TimedValue, ...], rate_15s: float, now: float) -> float | None:
    """The arrival rate over the last 5 s, from the rates over 15 s of this and of earlier ticks.

    The window of 15 s has gained the last 5 s and lost those of 15 to 20 s ago since the tick before. None
    without the ticks that it needs.

    Args:
        rates: of the earlier ticks, oldest first.
        rate_15s: of this tick.
        now: its time in seconds.
    """
    previous = _at(rates, now - STEP_SECONDS)
    lost = _at(rates, now - STEP_SECONDS - SHORT_SECONDS / 2)
    if previous is None or lost is None:
        return None
    return max(0.0, (rate_15s - previous) * SHORT_SECONDS / STEP_SECONDS + lost)


def _at(rates: tuple[TimedValue, ...], at: float) -> float | None:
    """The rate at about that time, within half a step; None if there is none."""
    return next((rate for when, rate in rates if abs(when - at) <= STEP_SECONDS / 2), None)


def learn_peakedness(peakedness: float, in_system: float, expected: float, *, most: float) -> float:
    """How much more variable the requests in the system are than those of Poisson arrivals.

    Without a queue, the requests in the system vary about their mean m by z·m, where z is the peakedness of
    the arrivals on the time scale of the service; for Poisson arrivals it is 1. (x - m)²/m exceeds z in 32 %
    of all cases if x is normal, so this quantile of it is followed in steps: one outlier, however far, moves
    it as little as the next. The mean is Little's law with the rate of the last 15 s, so slower changes of
    the load, which the reserve covers, do not count. While there is hardly any traffic, it is forgotten.

    Args:
        peakedness: as known so far.
        in_system: requests in the system.
        expected: their mean at the current rate, in requests.
        most: the maximum to return; 1: it is not learned.
    """
    if most <= 1:
        return 1.0
    if expected < MIN_EXPECTED:
        return max(1.0, min(peakedness * FORGET, most))
    sample = (in_system - expected) ** 2 / expected
    step = PEAKEDNESS_STEP * (NORMAL_WITHIN if sample > peakedness else NORMAL_WITHIN - 1)
    return max(1.0, min(peakedness * math.exp(step), most))


def forecast(
    rate_15s: float,
    rate_60s: float,
    horizon_seconds: float,
    sigmas: float,
    max_factor: float,
    *,
    peakedness: float = 1.0,
    burst_rate: float | None = None,
    burst_sigmas: float = 0.0,
) -> Demand:
    """Extrapolate a rise to the horizon; treat a fall as noise, since waiting costs little.

    A rise is the difference of the windows' rates over the 22.5 s between their middles. It counts if it is
    more than `sigmas` standard deviations of that difference, of variance z·λ₆₀·(1/15 - 1/60) (the short
    window is part of the long one). The forecast is at most `max_factor` times the short window's rate. A
    burst is a rate over 5 s that exceeds the minute's by `burst_sigmas` deviations; it counts as the current
    rate and is not extrapolated, as it may be over in 5 s.

    Args:
        rate_15s: requests a second over the last 15 s.
        rate_60s: the same over the last minute.
        horizon_seconds: how far ahead to forecast.
        sigmas: the threshold between noise and a rise, in standard deviations.
        max_factor: the maximum of the forecast, as a multiple of the short window's rate.
        peakedness: how much more variable arrivals are than Poisson ones.
        burst_rate: requests a second over the last 5 s, if known.
        burst_sigmas: the threshold of a burst; 0: none counts.
    """
    now = max(rate_15s, rate_60s)
    variance = peakedness * rate_60s
    noise = math.sqrt(variance * (1 / SHORT_SECONDS - 1 / LONG_SECONDS))
    if burst_rate is not None and burst_sigmas > 0:
        # A rate of 0 is known to within a request.
        deviation = math.sqrt(max(variance, peakedness / STEP_SECONDS) / STEP_SECONDS)
        if burst_rate > rate_60s + burst_sigmas * deviation:
            now = max(now, burst_rate)
    rise = rate_15s - rate_60s
    if rise <= sigmas * noise:
        return Demand(now, now)
    slope = rise / LAG_SECONDS
    ahead = rate_15s + slope * (horizon_seconds + SHORT_SECONDS / 2)
    return Demand(now, max(now, min(ahead, max_factor * rate_15s)))


def due_rate(expected: tuple[TimedValue, ...], now: float, horizon_seconds: float) -> float | None:
    """The rate that was expected for now a horizon ago, if one was; `expected` is oldest first."""
    due = (rate for at, rate in reversed(expected) if at <= now - horizon_seconds)
    return next(due, None)


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
    due = due_rate(expected, now, horizon_seconds)
    pending = tuple(pair for pair in expected if pair[0] > now - horizon_seconds)
    if due is None or coverage <= 0:
        return (reserve if coverage > 0 else 0.0), pending
    uncovered = rate_15s - due > reserve
    # The scale is the larger of the two rates, so that the step is proportional to the load. Without traffic
    # it is the reserve itself; otherwise the reserve of the last burst would keep replicas forever.
    scale = step * (max(rate_15s, due) or reserve)
    moved = reserve + scale * (coverage if uncovered else coverage - 1)
    return max(0.0, moved), pending
