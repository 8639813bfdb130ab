"""The arrival rate to size for: the current one, and a reserve for what it may be when a replica is ready."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from tidegate.autoscaler.gateway_signals import LEAST_SECONDS
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.signal_checks import MAX_VALUE, SHORT_SECONDS, CheckedSignals
from tidegate.autoscaler.sloq.state import SloqState, Tick

STEP_SECONDS: Final = 5.0
# What the rate over 5 s and the length of a queue need of the ticks.
KEPT_SECONDS: Final = 20.0
# How far one error moves the reserve, as a fraction of the rate.
RESERVE_STEP: Final = 0.1
# With less traffic than this fraction of the reserve, it decays as with this much.
IDLE_SHARE: Final = 1 / 3


def current_rate(
    parameters: SloqParameters, state: SloqState, checked: CheckedSignals, now: float
) -> float:
    """The current rate in requests a second: the larger one of both windows, or a burst of the last 5 s.

    Or a jump that the gateway's counters show, less a standard deviation: it is asked each half second, and
    the largest answer counts.

    A fall is taken for noise, since waiting costs little. Without those counters, a burst is a rate over 5 s
    that exceeds the minute's by `burst_sigmas` standard deviations of Poisson arrivals; 0: none counts.
    """
    unsure_at, minute = checked.learned["unsure_at"], checked.rate_60s
    sigmas = parameters.burst_sigmas if checked.signals.gateway_queued is None else 0.0
    good = [one for one in state.ticks if unsure_at is None or one[0] > unsure_at + SHORT_SECONDS]
    rate = max(checked.rate_15s, minute, gateway_rate(parameters, state, checked))
    recent = _rate_5s(good, checked.rate_15s, now)
    # A rate of 0 is known to within a request.
    noise = math.sqrt(max(minute, 1 / STEP_SECONDS) / STEP_SECONDS)
    burst = sigmas > 0 and recent is not None and recent > minute + sigmas * noise
    return max(rate, recent) if burst and recent is not None else rate


def gateway_rate(parameters: SloqParameters, state: SloqState, checked: CheckedSignals) -> float:
    """The rate of a jump by the gateway's counters, less a standard deviation; 0 if they show none.

    Until a slot time is measured, only a queue shows that the slots do not suffice, and the work is no more
    than the requests in slots and queue, by Little's law: an assumed time could ask for any number.
    """
    arrivals, seconds = checked.signals.gateway_arrivals, checked.signals.gateway_seconds
    if not arrivals or not seconds:
        return 0.0
    rate = max(0.0, arrivals - math.sqrt(arrivals)) / max(seconds, LEAST_SECONDS)
    if state.service_seconds is None:
        queued = checked.signals.gateway_queued
        present = state.ready * checked.slots + queued if queued else 0.0
        rate = min(rate, present / parameters.service_seconds)
    return min(MAX_VALUE, rate)


def _rate_5s(ticks: Sequence[Tick], rate_15s: float, now: float) -> float | None:
    """The arrival rate over the last 5 s; None without the ticks that it needs.

    The window of 15 s has gained the last 5 s and lost those of 15 to 20 s ago since the tick before. Of
    these only the 15 s around them are known; a burst in their begin must not count again.
    """
    previous = _rate_at(ticks, now - STEP_SECONDS)
    lost = _rate_at(ticks, now - STEP_SECONDS - SHORT_SECONDS / 2)
    if previous is None or lost is None:
        return None
    gained = (rate_15s - previous) * SHORT_SECONDS / STEP_SECONDS
    return max(0.0, gained + min(lost, previous))


def _rate_at(ticks: Sequence[Tick], at: float) -> float | None:
    """The rate over 15 s at about that time, within half a step; None if there is none."""
    return next((rate for when, rate, *_ in ticks if abs(when - at) <= STEP_SECONDS / 2), None)


def learn_reserve(
    state: SloqState, tick: Tick, horizon_seconds: float, coverage: float
) -> dict[str, Any]:
    """Move the burst reserve towards covering this fraction of all forecast errors.

    The forecast is that the rate stays. An error is the rate now minus the one that was current when a
    replica that is ready now had to be started. One above the reserve raises it, one below lowers it a
    little, so that in the long run it covers `coverage` of them, whatever their distribution: the online
    quantile of I. Gibbs and E. Candès, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
    A coverage of 0 means no reserve.
    """
    now, rate, _, _ = tick
    then = now - horizon_seconds
    due = [one for one in state.ticks if one[0] <= then]
    ticks = (*(one for one in state.ticks if min(then, now - KEPT_SECONDS) < one[0] < now), tick)
    if coverage <= 0:
        return {"ticks": ticks, "reserve": 0.0}
    if not due:
        return {"ticks": ticks}
    expected = due[-1][2]
    uncovered = rate - expected > state.reserve
    # In proportion to the load; without any to the reserve, or that of the last burst would stay for days.
    scale = RESERVE_STEP * max(rate, expected, 0.0 if uncovered else IDLE_SHARE * state.reserve)
    moved = state.reserve + scale * (coverage if uncovered else coverage - 1)
    return {"ticks": ticks, "reserve": max(0.0, moved)}
