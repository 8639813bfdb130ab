"""Which signals can be believed: the others must never take a replica away."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.autoscaler.memory import Memory
from tidegate.autoscaler.types import Signals

# A rate that no service has, and with which all arithmetic stays finite.
MOST: float = 1e9


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signals that are finite and possible; None for the others.

    Attributes:
        rate_15s: requests a second, over 15 s.
        rate_60s: the same over a minute; the shorter one if there is none.
        service_seconds: mean time in a slot.
        service_seconds_p95: its 95th percentile.
        latency_seconds: the objective's quantile of the response time.
        in_system: requests being worked on or queued.
        busy: requests being worked on.
        queued: requests that wait.
        slots: of one replica, as the metrics say.
        age_seconds: how old they are.
        blind: why none of it is to be acted upon, in words; empty if it is.
        repeats: at how many ticks the values have stood still.
        seen: the values that change with every request.
    """

    rate_15s: float
    rate_60s: float
    service_seconds: float | None
    service_seconds_p95: float | None
    latency_seconds: float | None
    in_system: float
    busy: float | None
    queued: float | None
    slots: int
    age_seconds: float | None
    blind: str
    repeats: int
    seen: tuple[float | None, ...]


def weigh(signals: Signals, memory: Memory, stale_seconds: float, frozen_ticks: int) -> Evidence:
    """Tell what can be believed.

    Args:
        signals: of this tick.
        memory: of the last one.
        stale_seconds: older signals are not believed.
        frozen_ticks: after so many ticks without any change under load, they are frozen.
    """
    rate = possible(signals.arrival_rate)
    minute = possible(signals.arrival_rate_60s)
    service = possible(signals.service_seconds) or None
    p95 = possible(signals.service_seconds_p95) or None
    latency = possible(signals.latency_seconds) or None
    in_system = possible(signals.in_system)
    busy, queued = possible(signals.busy), possible(signals.queued)
    slots = signals.slots_per_replica or 0

    # Arrival rates are left out: what a rate is must not decide whether it is believed, or a higher
    # one could lead to fewer replicas.
    seen = (service, p95, latency)
    under_load = service is not None
    repeats = memory.repeats + 1 if under_load and seen == memory.seen else 0

    age = possible(signals.age_seconds)
    if rate is None:
        blind = "the arrival rate is not known"
    elif slots < 1:
        blind = "the slots of a replica are not known"
    elif age is None:
        blind = "the age of the signals is not known"
    elif age > stale_seconds:
        blind = f"the signals are {age:.0f} s old, more than {stale_seconds:g} s"
    elif signals.ready <= 0 and signals.running <= 0:
        blind = "no replica is known to run"
    elif repeats >= frozen_ticks:
        blind = f"the signals have not changed at all for {repeats} ticks: they are frozen"
    else:
        blind = ""
    if blind and signals.problem:
        blind += f" ({signals.problem})"
    return Evidence(
        rate_15s=rate or 0.0,
        rate_60s=minute if minute is not None else rate or 0.0,
        service_seconds=service,
        service_seconds_p95=p95,
        latency_seconds=latency,
        in_system=in_system or 0.0,
        busy=busy,
        queued=queued,
        slots=slots,
        age_seconds=age,
        blind=blind,
        repeats=repeats,
        seen=seen,
    )


def possible(value: float | None) -> float | None:
    """The value if it is one that can be measured: finite and not negative."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return min(float(value), MOST)
