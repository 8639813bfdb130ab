"""Which signals can be believed: the others must never take a replica away."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Signals

# A rate that no service has, and with which all arithmetic stays finite.
MAX_VALUE: float = 1e9


@dataclass(frozen=True, slots=True)
class CheckedSignals:
    """The signals that are finite and possible; None for the others.

    Attributes:
        rate_15s: requests a second, over 15 s.
        rate_60s: the same over a minute; the shorter one if there is none.
        service_seconds: mean time in a slot.
        service_seconds_p95: its 95th percentile.
        latency_seconds: the objective's quantile of the response time.
        in_system: requests being worked on or queued.
        busy: requests being worked on.
        busiest: the most that one replica worked on at once, lately.
        queued: requests that wait.
        slots: of one replica, as the metrics say.
        age_seconds: how old they are.
        unusable: why none of it is to be acted upon, in words; empty if it is.
        keep_replicas: why no replica is to leave for it, though more may come, in words; empty if one may.
        repeats: at how many ticks the values have stood still.
        seen: the values that change with every request.
        traffic: the rates and the requests in system, which change with most of them.
    """

    rate_15s: float
    rate_60s: float
    service_seconds: float | None
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
    repeats: int
    seen: tuple[float | None, ...]
    traffic: tuple[float | None, ...]


def check_signals(
    signals: Signals, state: SloqState, stale_seconds: float, frozen_ticks: int
) -> CheckedSignals:
    """Tell what can be believed.

    Args:
        signals: of this tick.
        state: of the last one.
        stale_seconds: older signals are not believed.
        frozen_ticks: after so many ticks without any change under load, they are frozen.
    """
    rate = valid_or_none(signals.arrival_rate)
    minute = valid_or_none(signals.arrival_rate_60s)
    service = valid_or_none(signals.service_seconds) or None
    p95 = valid_or_none(signals.service_seconds_p95) or None
    latency = valid_or_none(signals.latency_seconds) or None
    in_system = valid_or_none(signals.in_system)
    busy, queued = valid_or_none(signals.busy), valid_or_none(signals.queued)
    slots = signals.slots_per_replica or 0

    # Arrival rates are left out: what a rate is must not decide whether it is believed, or a higher
    # one could lead to fewer replicas.
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
    elif age > stale_seconds:
        unusable = f"the signals are {age:.0f} s old, more than {stale_seconds:g} s"
    elif signals.ready <= 0 and signals.running <= 0:
        unusable = "no replica is known to run"
    elif repeats >= frozen_ticks:
        unusable = f"the signals have not changed at all for {repeats} ticks: they are frozen"
    else:
        unusable = ""
    traffic = (rate, minute, in_system)
    keep_replicas = _why_keep_replicas(
        signals.problem, traffic, state, repeats, under_load=under_load
    )
    if unusable and signals.problem:
        unusable += f" ({signals.problem})"
    return CheckedSignals(
        rate_15s=rate or 0.0,
        rate_60s=minute if minute is not None else rate or 0.0,
        service_seconds=service,
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
        repeats=repeats,
        seen=seen,
        traffic=traffic,
    )


def _why_keep_replicas(
    problem: str,
    traffic: tuple[float | None, ...],
    state: SloqState,
    repeats: int,
    *,
    under_load: bool,
) -> str:
    """Why no replica is to leave, although enough is known to see that more are needed."""
    _, minute, in_system = traffic
    told = f" ({problem})" if problem else ""
    if in_system is None:
        return f"the requests in the system are not known{told}, so none leaves"
    if minute is None:
        return f"the arrival rate over a minute is not known{told}, so none leaves"
    if problem:
        return f"{problem}, so none leaves"
    if repeats or (not under_load and _stands_still(traffic, state.traffic)):
        return "the signals stand still, so none leaves"
    return ""


def _stands_still(now: tuple[float | None, ...], before: tuple[float | None, ...]) -> bool:
    """Whether requests come, and neither their rates have fallen nor has what is in the system changed.

    Without a time in a slot that is all there is to see of frozen signals. A rate that has risen counts
    as one that stands, or a higher one could lead to fewer replicas. Where nothing comes, nothing moves
    either: an idle service and one whose signals froze while it was idle look the same.
    """
    if len(before) != len(now) or not any(now):
        return False
    *rates, in_system = zip(now, before, strict=True)
    return in_system[0] == in_system[1] and all((one or 0) >= (other or 0) for one, other in rates)


def valid_or_none(value: float | None) -> float | None:
    """The value if it is one that can be measured: finite and not negative."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return min(float(value), MAX_VALUE)
