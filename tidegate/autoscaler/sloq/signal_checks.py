"""Checks which signals are usable: unusable ones must never remove a replica."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.autoscaler.sloq.demand import SHORT_SECONDS
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Signals

# Above any real value, and arithmetic with it stays finite.
MAX_VALUE: float = 1e9


@dataclass(frozen=True, slots=True)
class CheckedSignals:
    """The signals that are finite and not negative; None for the others.

    Attributes:
        rate_15s: requests a second, over 15 s.
        rate_60s: the same over a minute; `rate_15s` if it is missing.
        service_seconds: mean time in a slot.
        service_seconds_15s: the same over 15 s, if it is measured.
        service_seconds_p95: the 95th percentile of that time until the byte of the objective.
        latency_seconds: the objective's quantile of the response time.
        in_system: requests in slots or queued.
        busy: requests in slots.
        busiest: the maximum of concurrent requests in one replica, over the last minute.
        queued: requests that wait for a slot.
        slots: of one replica, as reported.
        age_seconds: age of the signals.
        unusable: why the signals cannot be used at all; empty if they can.
        keep_replicas: why replicas may be added but not removed; empty if both are allowed.
        stopped: why the rates may be too low, which also keeps replicas; empty if they are not.
        repeats: for how many ticks the values have not changed.
        seen: the values that change with every request.
        traffic: the rates and the requests in the system, which change with most requests.
        still_since: since when the same requests have been in the system; None if there are none.
        unsure_at: when the rates were last unusable, or 0 for a minute with requests in the system.
    """

    rate_15s: float
    rate_60s: float
    service_seconds: float | None
    service_seconds_15s: float | None
    service_seconds_p95: float | None
    latency_seconds: float | None
    in_system: float
    busy: float | None
    busiest: float | None
    queued: float | None
    slots: int
    age_seconds: float | None
    unusable: str
    keep_replicas: str
    stopped: str
    repeats: int
    seen: tuple[float | None, ...]
    traffic: tuple[float | None, ...]
    still_since: float | None
    unsure_at: float | None


def check_signals(
    signals: Signals, state: SloqState, parameters: SloqParameters, now: float
) -> CheckedSignals:
    """Check the signals of a tick.

    Args:
        signals: of this tick.
        state: after the last tick.
        parameters: of the policy.
        now: the time of this tick in seconds.
    """
    rate = valid_or_none(signals.arrival_rate)
    minute = valid_or_none(signals.arrival_rate_60s)
    service = valid_or_none(signals.service_seconds) or None
    p95 = valid_or_none(signals.service_seconds_p95) or None
    latency = valid_or_none(signals.latency_seconds) or None
    in_system = valid_or_none(signals.in_system)
    busy, queued = valid_or_none(signals.busy), valid_or_none(signals.queued)
    slots = signals.slots_per_replica or 0

    # Arrival rates are left out: if a rate's value decided whether it is used, a higher rate could lead to
    # fewer replicas.
    seen = (service, p95, latency)
    under_load = service is not None
    repeats = state.repeats + 1 if under_load and seen == state.seen else 0

    age = valid_or_none(signals.age_seconds)
    if rate is None:
        unusable = "the arrival rate is not known"
    elif slots < 1:
        unusable = "the slots of a replica are not known"
    elif age is None:
        unusable = "the age of the signals is not known"
    elif age > parameters.stale_seconds:
        unusable = f"the signals are {age:.0f} s old, more than {parameters.stale_seconds:g} s"
    elif signals.ready <= 0 and signals.running <= 0:
        unusable = "no replica is known to be running"
    elif repeats >= parameters.frozen_ticks:
        unusable = f"the signals have not changed for {repeats} ticks: they are frozen"
    else:
        unusable = ""
    traffic = (rate, minute, in_system)
    still_since = _still_since(in_system, state)
    keep_replicas = _why_keep_replicas(
        signals.problem, traffic, state, repeats, under_load=under_load
    )
    if unusable and signals.problem:
        unusable += f" ({signals.problem})"
    return CheckedSignals(
        rate_15s=rate or 0.0,
        rate_60s=minute if minute is not None else rate or 0.0,
        service_seconds=service,
        service_seconds_15s=valid_or_none(signals.service_seconds_15s) or None,
        service_seconds_p95=p95,
        latency_seconds=latency,
        in_system=in_system or 0.0,
        busy=busy,
        busiest=valid_or_none(signals.busiest),
        queued=queued,
        slots=slots,
        age_seconds=age,
        unusable=unusable,
        keep_replicas=keep_replicas,
        stopped=_why_too_low(still_since, state, parameters.still_seconds, now),
        repeats=repeats,
        seen=seen,
        traffic=traffic,
        still_since=still_since,
        unsure_at=now
        if unusable or signals.problem or (in_system and minute == 0)
        else state.unsure_at,
    )


def _why_keep_replicas(
    problem: str,
    traffic: tuple[float | None, ...],
    state: SloqState,
    repeats: int,
    *,
    under_load: bool,
) -> str:
    """Why no replica may be removed, although the signals suffice to add some."""
    _, minute, in_system = traffic
    cause = f" ({problem})" if problem else ""
    if in_system is None:
        return f"the requests in the system are not known{cause}, so no replica is removed"
    if minute is None:
        return f"the arrival rate over a minute is not known{cause}, so no replica is removed"
    if problem:
        return f"{problem}, so no replica is removed"
    if repeats or (not under_load and _may_be_frozen(traffic, state.traffic)):
        return "the signals have not changed, so no replica is removed"
    return ""


def _may_be_frozen(now: tuple[float | None, ...], before: tuple[float | None, ...]) -> bool:
    """Whether there is traffic, no rate has fallen and the requests in the system have not changed.

    Without a time in a slot, nothing else indicates frozen signals. A rate that has risen counts as
    unchanged; otherwise a higher rate could lead to fewer replicas. Without traffic the signals do not
    change: an idle service looks the same as one whose signals froze while it was idle.
    """
    if len(before) != len(now) or not any(now):
        return False
    *rates, in_system = zip(now, before, strict=True)
    return in_system[0] == in_system[1] and all((one or 0) >= (other or 0) for one, other in rates)


def _still_since(in_system: float | None, state: SloqState) -> float | None:
    """Since when the same requests have been in the system, at the latest since the last tick."""
    if not in_system or not state.traffic or in_system != state.traffic[-1]:
        return None
    return state.now if state.still_since is None else state.still_since


def _why_too_low(
    still_since: float | None, state: SloqState, still_seconds: float, now: float
) -> str:
    """Why no replica may be removed while counters may have stopped.

    The rates over counters that have stopped fall as those of a falling load do, until their windows have
    passed. Until then the only sign is a number of requests in the system that does not change. Rates are not
    asked: a higher one must not lead to fewer replicas. When the counters grow again, and after any gap,
    rates are too low for the length of the shorter window.
    """
    if still_seconds <= 0:
        return ""
    if still_since is not None and now - still_since <= still_seconds:
        return "the requests in the system have not changed, so no replica is removed"
    if state.unsure_at is not None and now - state.unsure_at <= SHORT_SECONDS:
        return f"the rates are not good for {SHORT_SECONDS:g} s yet, so no replica is removed"
    return ""


def valid_or_none(value: float | None) -> float | None:
    """The value if it is finite and not negative, else None."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return min(float(value), MAX_VALUE)
