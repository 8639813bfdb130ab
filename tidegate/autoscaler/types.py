"""What policies share: signals in, a decision out, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bounds:
    """The number of replicas never leaves [min, max]."""

    min: int
    max: int

    def clamp(self, number: int) -> int:
        """The number, or the bound that it passed."""
        return max(self.min, min(self.max, number))


@dataclass(frozen=True, slots=True)
class Signals:
    """What was measured at one tick. None means missing (or NaN, or stale: the reader says which).

    Attributes:
        arrival_rate: requests a second at the gateway, over the last 15 s.
        service_seconds: mean time in a slot.
        in_system: requests being worked on or queued, in the gateway and in replicas.
        slots_per_replica: slots of one replica.
        ready: replicas that take requests.
        running: replicas started and not yet told to stop (ready or starting).
        desired: the number last asked for.
        latency_seconds: the objective's quantile of the response time, as the client feels it.
        age_seconds: age of the oldest series that the signals were made from.
        problem: why signals are missing, in words; empty if they are not.
        arrival_rate_60s: the same as `arrival_rate`, over a minute instead of its 15 s.
        service_seconds_p95: the 95th percentile of the time in a slot.
        busy: requests being worked on.
        queued: requests that wait for a slot.
        unix_seconds: the time of day of this tick, in seconds since 1970: what schedules go by.
        expected_rate: requests a second to expect within minutes, from the same time on earlier days.
        slots_asked: the slots of a replica last asked for; None where nobody can set them.
        gateway_age_seconds: age of what was measured at the gateway alone.
        waiting: requests that wait at the gateway, as it says itself; asked only at zero replicas.
        busiest: the most requests that one replica worked on at once, within the last minute.
    """

    arrival_rate: float | None
    service_seconds: float | None
    in_system: float | None
    slots_per_replica: int | None
    ready: int
    running: int
    desired: int
    latency_seconds: float | None
    age_seconds: float | None
    problem: str = ""
    arrival_rate_60s: float | None = None
    service_seconds_p95: float | None = None
    busy: float | None = None
    queued: float | None = None
    unix_seconds: float | None = None
    expected_rate: float | None = None
    slots_asked: int | None = None
    gateway_age_seconds: float | None = None
    waiting: float | None = None
    busiest: float | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be, and why.

    Attributes:
        desired: the number, within bounds.
        reason: one word for counters: `hold`, `tolerance`, `up`, `down`, `stabilized`, `limited`,
            `no-signal`, `paused`.
        explanation: a sentence for a person.
        inputs: every value that led to it, as JSON types; with the state and the time it replays.
        state: what the policy wants to be given at the next tick; JSON types only.
        slots: how many each replica should have; None leaves them.
    """

    desired: int
    reason: str
    explanation: str
    inputs: dict[str, Any]
    state: dict[str, Any]
    slots: int | None = None


Policy = Callable[[dict[str, Any], Signals, float], Decision]
"""`decide(state, signals, now)`: pure and total. `now` is in seconds, on any clock that only goes forward.

An empty state is the state at the start."""


def format_change(held: int, desired: int) -> str:
    """How the sentence of a decision begins: `4 → 6`, or `4 held`."""
    return f"{held} held" if desired == held else f"{held} → {desired}"
