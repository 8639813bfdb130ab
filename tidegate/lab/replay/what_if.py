"""What another policy would have done with the recorded traffic.

An estimate: arrivals, times in a slot and requests in the system are those measured, although another policy
would have changed them. Its replicas become ready after the measured start-up time. It begins with what the
recorded policy knew of the service (`known_service.py`). Use `tidegate simulate` to estimate the latency of
clients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from types import MappingProxyType
from typing import Any

from tidegate.autoscaler.live.loop import next_due
from tidegate.autoscaler.types import Decision, Policy, Signals
from tidegate.lab.replay.decisions import RecordedDecision
from tidegate.lab.replay.known_service import measured_startups

STARTUP_SECONDS = 30.0
# Recorded ticks are late by different times; one this fraction of a tick early counts as on time.
EARLY_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TickComparison:
    """The two decisions at a tick.

    Attributes:
        actual: the recorded decision.
        other: the other policy's decision, without its state.
        previous: the other policy's number before.
        slots: the slots per replica that the other policy last decided before; None if it never did.
        seconds: until the next tick of the same run; 0 at its end.
    """

    actual: RecordedDecision
    other: Decision
    previous: int
    slots: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Cost and changes of a policy.

    A replica with lent slots costs proportionally more, as in a simulation.
    """

    replica_seconds: float
    changes: int


def what_if(
    decisions: Sequence[RecordedDecision],
    policy_at: Callable[[RecordedDecision], Policy],
    tick_seconds: float,
    initial_state: Mapping[str, Any] = MappingProxyType({}),
) -> list[TickComparison]:
    """Let another policy decide at each tick, from its own previous number.

    Args:
        decisions: the recorded decisions.
        policy_at: the other policy with its wrappers at a tick.
        tick_seconds: the time between its decisions; at recorded ticks in between it keeps its number.
        initial_state: its state at the first decision; after a restart of the autoscaler it is empty.
    """
    startup = startup_seconds(decisions)
    rows: list[TickComparison] = []
    state: dict[str, Any] = {}
    previous, starts, slots = 0, list[float](), None
    started, due = 0.0, 0.0
    for number, actual in enumerate(decisions):
        if not number or starts_new_run(decisions[number - 1], actual):
            state = {} if number else dict(initial_state)
            previous, starts, slots = actual.signals.desired, [], None
            started, due = actual.now, 0.0
        starts = [at for at in starts if at > actual.now - startup]
        seen = _with_slots(actual.signals, slots or actual.own_slots)
        other = _between(previous, tick_seconds, state)
        own = _seen_by(seen, previous, len(starts))
        if actual.signals.between:
            decided = policy_at(actual)(state, own, actual.now)
            if decided.desired > previous:
                other = decided
        elif not previous or actual.now - started >= due - EARLY_SHARE * tick_seconds:
            # At zero replicas, a request that waits is a tick.
            other = policy_at(actual)(state, own, actual.now)
            due = next_due(due, actual.now - started, tick_seconds)
        following = decisions[number + 1] if number + 1 < len(decisions) else None
        last = following is None or starts_new_run(actual, following)
        seconds = 0.0 if following is None or last else following.now - actual.now
        # The states of thousands of ticks would fill the memory.
        row = TickComparison(actual, replace(other, state={}), previous, slots, seconds)
        rows.append(row)
        starts += [actual.now] * max(0, other.desired - previous)
        starts = starts[: other.desired]
        state, previous, slots = other.state, other.desired, other.slots or slots
    return rows


def _between(previous: int, tick_seconds: float, state: dict[str, Any]) -> Decision:
    """The decision at a tick between its own: no change."""
    return Decision(
        previous, "hold", f"{previous} held: it decides every {tick_seconds:g} s", {}, state
    )


def totals(rows: Iterable[TickComparison]) -> tuple[Totals, Totals]:
    """The totals of the recorded decisions and of the other policy."""
    recorded, other = Totals(0.0, 0), Totals(0.0, 0)
    for row in rows:
        fields = row.actual.fields
        recorded = _with(recorded, row, fields["desired"], fields["previous"], actual_slots(row))
        slots = row.other.slots or row.slots
        other = _with(other, row, row.other.desired, row.previous, slots)
    return recorded, other


def _with(
    sums: Totals, row: TickComparison, desired: int, previous: int, slots: int | None
) -> Totals:
    own = row.actual.own_slots or row.actual.signals.slots_per_replica
    factor = slots / own if slots and own else 1.0
    return Totals(
        sums.replica_seconds + desired * factor * row.seconds, sums.changes + (desired != previous)
    )


def actual_slots(row: TickComparison) -> int | None:
    """The slots per replica from that tick on; None if they could not be set."""
    decided: int | None = row.actual.fields.get("slots")
    return row.actual.signals.slots_asked if decided is None else decided


def starts_new_run(before: RecordedDecision, after: RecordedDecision) -> bool:
    """Whether the autoscaler was restarted in between."""
    return not after.fields["state"] or after.now <= before.now


def startup_seconds(decisions: Sequence[RecordedDecision]) -> float:
    """The median start-up time of replicas."""
    startups = measured_startups(decisions)
    return median(startups) if startups else STARTUP_SECONDS


def _with_slots(signals: Signals, slots: int | None) -> Signals:
    """The signals with this number of slots per replica; None: as measured."""
    if slots is None or signals.slots_per_replica is None:
        return signals
    # Both were measured with the recorded slots.
    return replace(
        signals, slots_per_replica=slots, slots_asked=slots, busiest=None, completed_rate=None
    )


def _seen_by(signals: Signals, previous: int, starting: int) -> Signals:
    """The signals with the other policy's replicas instead of the recorded ones."""
    if signals.running <= 0:
        return replace(signals, desired=previous)  # the resizer was away
    ready = max(0, previous - starting)
    busy, queued, latency = signals.busy, signals.queued, signals.latency_seconds
    if signals.in_system is not None and signals.slots_per_replica is not None:
        busy = min(signals.in_system, float(ready * signals.slots_per_replica))
        queued = signals.in_system - busy
    if ready > signals.ready:
        latency = None  # measured with fewer replicas, so not valid for more
    # Of a queue, the recorded replicas completed these.
    completed = signals.completed_rate if ready == signals.ready else None
    return replace(
        signals,
        desired=previous,
        running=previous,
        ready=ready,
        busy=busy,
        queued=queued,
        latency_seconds=latency,
        completed_rate=completed,
    )
