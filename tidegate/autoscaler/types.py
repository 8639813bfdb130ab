"""The interface of policies: signals in, a decision out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bounds:
    """The number of replicas stays within [min, max]."""

    min: int
    max: int

    def clamp(self, number: int) -> int:
        """The number, limited to the bounds."""
        return max(self.min, min(self.max, number))


@dataclass(frozen=True, slots=True)
class Signals:
    """What was measured at one tick. None: missing, NaN or stale; `problem` says which.

    Attributes:
        arrival_rate: requests a second at the gateway, over the last 15 s.
        service_seconds: mean time in a slot.
        in_system: requests in slots or queued, in the gateway and in replicas.
        slots_per_replica: slots of one replica.
        ready: replicas that accept requests.
        running: replicas that are ready or starting.
        desired: the number of replicas last requested.
        latency_seconds: the objective's quantile of the response time as seen by the client.
        age_seconds: age of the oldest series behind the signals.
        problem: why signals are missing; empty if none is.
        arrival_rate_60s: as `arrival_rate`, over a minute.
        service_seconds_p95: the 95th percentile of the time in a slot until the byte that the objective is
            about, the first or the last one (`slo.until`).
        busy: requests in slots.
        queued: requests that wait for a slot.
        unix_seconds: the time of this tick in seconds since 1970, for schedules.
        daily_rates: rates around this time today and on earlier days, as `daily_rise.Rates`; today's first.
        slots_asked: the slots per replica last requested; None if they cannot be set.
        gateway_age_seconds: age of the signals measured at the gateway alone.
        waiting: requests that wait at the gateway, read from it directly; only at zero replicas.
        busiest: the maximum of concurrent requests in one replica, over the last minute.
        service_seconds_15s: as `service_seconds`, over 15 s.
        in_system_60s: the mean of `in_system` over a minute; None if it is not measured.
        completed_rate: requests a second that leave the slots of all replicas, with any outcome, over 15 s.
        gateway_arrivals: requests that arrived at the gateway within `gateway_seconds`, by its own counters,
            if that is more than the last minutes explain; see `gateway_signals.py`.
        gateway_seconds: what they arrived in, in seconds.
        gateway_queued: the fewest requests that waited in the last two reads of the gateway's counters; None
            if they are not read.
        gateway_dispersion: the variance of the requests that arrive at the gateway within half a second, over
            the last two minutes, as a multiple of their mean, at least 1; None as above.
        startups: the start-up times of the latest replicas as the resizer measured them, in seconds, oldest
            first; empty if it did not.
        between: whether this decision is made between two ticks for what the gateway's counters show; it may
            only add replicas, and the signals of Prometheus are those of the last tick.
    """

    arrival_rate: float | None = None
    service_seconds: float | None = None
    in_system: float | None = None
    slots_per_replica: int | None = None
    ready: int = 0
    running: int = 0
    desired: int = 0
    latency_seconds: float | None = None
    age_seconds: float | None = None
    problem: str = ""
    arrival_rate_60s: float | None = None
    service_seconds_p95: float | None = None
    busy: float | None = None
    queued: float | None = None
    unix_seconds: float | None = None
    slots_asked: int | None = None
    gateway_age_seconds: float | None = None
    waiting: float | None = None
    busiest: float | None = None
    in_system_60s: float | None = None
    service_seconds_15s: float | None = None
    completed_rate: float | None = None
    daily_rates: Sequence[Sequence[float]] = ()
    gateway_arrivals: float | None = None
    gateway_seconds: float | None = None
    gateway_queued: float | None = None
    gateway_dispersion: float | None = None
    startups: Sequence[float] = ()
    between: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The desired number of replicas, and why.

    Attributes:
        desired: the number, within bounds.
        reason: the label of the decision counter: `hold`, `tolerance`, `up`, `down`, `stabilized`, `limited`,
            `no-signal`, `paused`.
        explanation: a sentence for people.
        inputs: every value behind the decision, as JSON types; with state and time, it can be replayed.
        state: the policy's state for the next tick; JSON types only.
        slots: the desired slots per replica; None leaves them.
    """

    desired: int
    reason: str
    explanation: str
    inputs: dict[str, Any]
    state: dict[str, Any]
    slots: int | None = None


Policy = Callable[[dict[str, Any], Signals, float], Decision]
"""`decide(state, signals, now)`: pure and total. `now` is in seconds, on a monotonic clock.

The initial state is empty."""


def format_change(current: int, desired: int) -> str:
    """The beginning of an explanation: `4 → 6`, or `4 held` if the number stays."""
    return f"{current} held" if desired == current else f"{current} → {desired}"


def digits(value: float, count: int = 3) -> str:
    """The number rounded to this many digits; without an exponent where that can be read."""
    return f"{float(f'{value:.{count}g}'):.10g}"


def plural(count: int, noun: str) -> str:
    """The count and the noun, in the plural if it is not one."""
    return f"{count} {noun}{'s' * (count != 1)}"


def direction(current: int, desired: int) -> str:
    """The reason of a decision that follows from the numbers alone: `up`, `down` or `hold`."""
    return "up" if desired > current else "down" if desired < current else "hold"
