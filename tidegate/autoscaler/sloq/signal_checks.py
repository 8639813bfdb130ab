"""Checks which signals are usable: unusable ones must never remove a replica."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Signals

# Above any real value, and arithmetic with it stays finite.
MAX_VALUE: float = 1e9
SHORT_SECONDS: Final = 15.0
# Unchanged for this many ticks, signals are frozen.
FROZEN_TICKS: Final = 4
# Counters may have stopped, which takes the rates a minute to show.
STILL_SECONDS: Final = 90.0
NUMBERS: Final = (
    *("arrival_rate", "arrival_rate_60s", "service_seconds", "service_seconds_15s"),
    *("service_seconds_p95", "latency_seconds", "in_system", "busy", "busiest", "queued"),
    *("age_seconds", "completed_rate", "gateway_arrivals", "gateway_seconds", "gateway_queued"),
    "gateway_dispersion",
)
# One that took longer was stopped or starved.
MAX_STARTUP_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class CheckedSignals:
    """The signals of a tick, and what may be done with them.

    Attributes:
        signals: with None in place of values that are not finite or negative, and of times of 0.
        unusable: why they cannot be used at all; empty if they can.
        keep_replicas: why replicas may be added but not removed; empty if both are allowed.
        learned: the fields of the state that the next check needs.
    """

    signals: Signals
    unusable: str
    keep_replicas: str
    learned: dict[str, Any]

    @property
    def rate_15s(self) -> float:
        """Requests a second, over 15 s."""
        return self.signals.arrival_rate or 0.0

    @property
    def rate_60s(self) -> float:
        """The same over a minute; over 15 s if that is missing."""
        minute = self.signals.arrival_rate_60s
        return self.rate_15s if minute is None else minute

    @property
    def slots(self) -> int:
        """Of one replica, as reported."""
        return self.signals.slots_per_replica or 0


def check_signals(
    signals: Signals, state: SloqState, parameters: SloqParameters, now: float
) -> CheckedSignals:
    """Check the signals of a tick.

    The state is that after the last tick.
    """
    valid: dict[str, Any] = {name: valid_or_none(getattr(signals, name)) for name in NUMBERS}
    for name in NUMBERS:
        if name.startswith(("service", "latency")):
            valid[name] = valid[name] or None
    startups = [one for one in signals.startups if 0 <= one <= MAX_STARTUP_SECONDS]
    checked = replace(signals, **valid, startups=startups)
    seen = (
        *(checked.service_seconds, checked.service_seconds_p95, checked.latency_seconds),
        *(checked.arrival_rate, checked.arrival_rate_60s, checked.in_system),
    )
    # Between ticks they are those of the last one, and neither frozen nor known to be live.
    again = 0 if signals.between else 1
    repeats = state.repeats + again if _unchanged(seen, state.seen) else 0
    stuck_since = _stuck_since(checked, state, now)
    unusable = _why_unusable(
        checked, parameters, repeats, stuck=None not in (state.stuck_since, stuck_since)
    )
    still_since = _still_since(checked.in_system, state)
    keep = _why_keep(checked, repeats) or _why_too_low(still_since, state, now)
    if unusable and signals.problem:
        unusable += f" ({signals.problem})"
    unsure = unusable or signals.problem or (checked.in_system and checked.arrival_rate_60s == 0)
    learned = {
        "seen": seen,
        "repeats": repeats,
        "still_since": still_since,
        "stuck_since": stuck_since,
        "unsure_at": now if unsure else state.unsure_at,
    }
    return CheckedSignals(checked, unusable, keep, learned)


def _why_unusable(
    signals: Signals, parameters: SloqParameters, repeats: int, *, stuck: bool
) -> str:
    age, most = signals.age_seconds, parameters.stale_seconds
    # No time changes while nothing is completed.
    frozen = signals.service_seconds is not None and repeats >= FROZEN_TICKS and not stuck
    reasons = {
        "the arrival rate is not known": signals.arrival_rate is None,
        "the slots of a replica are not known": (signals.slots_per_replica or 0) < 1,
        "the age of the signals is not known": age is None,
        f"the signals are {age or 0:.0f} s old, more than {most:g} s": (age or 0) > most,
        "no replica is known to be running": signals.ready <= 0 and signals.running <= 0,
        f"the signals have not changed for {repeats} ticks: they are frozen": frozen,
    }
    return next((reason for reason, true in reasons.items() if true), "")


def _why_keep(signals: Signals, repeats: int) -> str:
    """Why no replica may be removed, although the signals suffice to add some."""
    cause = f" ({signals.problem})" if signals.problem else ""
    if signals.between:
        return "between two ticks no replica is removed"
    if signals.in_system is None:
        return f"the requests in the system are not known{cause}, so no replica is removed"
    if signals.arrival_rate_60s is None:
        return f"the arrival rate over a minute is not known{cause}, so no replica is removed"
    if signals.problem:
        return f"{signals.problem}, so no replica is removed"
    return "the signals have not changed, so no replica is removed" if repeats else ""


def _unchanged(seen: tuple[float | None, ...], before: tuple[float | None, ...]) -> bool:
    """Whether there is traffic, and nothing that changes with each request has changed.

    Times of requests change with each; without any, only rates and the requests in the system are left. A
    rate that has risen counts as unchanged there; otherwise a higher rate could lead to fewer replicas. An
    idle service looks the same as one whose signals froze while it was idle.
    """
    if len(before) != len(seen):
        return False
    times, (*rates, in_system) = seen[:3], seen[3:]
    if times[0] is not None:
        return times == before[:3]
    risen = all((one or 0) >= (two or 0) for one, two in zip(rates, before[3:5], strict=True))
    return any(seen[3:]) and in_system == before[5] and risen


def _still_since(in_system: float | None, state: SloqState) -> float | None:
    """Since when the same requests have been in the system, at the latest since the last tick."""
    if not in_system or not state.seen or in_system != state.seen[-1]:
        return None
    return state.now if state.still_since is None else state.still_since


def _stuck_since(signals: Signals, state: SloqState, now: float) -> float | None:
    """Since when requests have queued and none has left; a replica that has become ready is given time."""
    if signals.completed_rate != 0 or (signals.queued or 0) < 1:
        return None
    return now if state.stuck_since is None or signals.ready > state.ready else state.stuck_since


def _why_too_low(still_since: float | None, state: SloqState, now: float) -> str:
    """Why no replica may be removed while counters may have stopped.

    The rates over counters that have stopped fall as those of a falling load do, until their windows have
    passed. Until then the only sign is a number of requests in the system that does not change. Rates are not
    asked: a higher one must not lead to fewer replicas. When the counters grow again, and after any gap,
    rates are too low for the length of the shorter window.
    """
    if still_since is not None and now - still_since <= STILL_SECONDS:
        return "the requests in the system have not changed, so no replica is removed"
    if state.unsure_at is not None and now - state.unsure_at <= SHORT_SECONDS:
        return f"the rates are not good for {SHORT_SECONDS:g} s yet, so no replica is removed"
    return ""


def valid_or_none(value: float | None) -> float | None:
    """The value if it is finite and not negative, else None."""
    if value is None or not math.isfinite(value) or value < 0:
        return None
    return min(float(value), MAX_VALUE)
