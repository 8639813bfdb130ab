"""What another policy would have done with the traffic that there was.

An estimate: arrivals, times in a slot and requests in system are as they were measured, whatever the
other policy would have made of them. Its replicas become ready after the start-up time that the real
ones took. `tidegate simulate` is the place for what clients would have felt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from tidegate.autoscaler.audit.decisions import RecordedDecision
from tidegate.autoscaler.live.loop import ZERO_TICK_SECONDS, next_due
from tidegate.autoscaler.sloq.learning import learn_replicas
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Decision, Policy, Signals

STARTUP_SECONDS = 30.0
# Of the time between two ticks: one that comes so much early is on time, as recorded ones are not alike late.
EARLY_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class TickComparison:
    """A tick.

    Attributes:
        actual: what was decided.
        other: what the other policy decides.
        held: the number that it held before.
        slots: the slots of a replica that it decided last before; None if it never did.
        seconds: until the next tick of the same run; 0 at the end of one.
    """

    actual: RecordedDecision
    other: Decision
    previous: int
    slots: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Totals:
    """A policy in numbers: what it cost, and how often it changed the number.

    A replica with more slots than its own costs as many times more, as in a simulation.
    """

    replica_seconds: float
    changes: int


def what_if(
    decisions: Sequence[RecordedDecision],
    policy_at: Callable[[RecordedDecision], Policy],
    tick_seconds: float,
) -> list[TickComparison]:
    """Let another policy decide from the number that it decided before.

    Args:
        decisions: what was decided.
        policy_at: the other policy, as it is bounded at a tick.
        tick_seconds: how often it decides; at recorded ticks in between it holds its number.
    """
    startup = startup_seconds(decisions)
    rows: list[TickComparison] = []
    state: dict[str, Any] = {}
    previous, starts, slots = 0, list[float](), None
    started, due = 0.0, 0.0
    for number, actual in enumerate(decisions):
        if not number or starts_new_run(decisions[number - 1], actual):
            state, previous, starts, slots = {}, actual.signals.desired, [], None
            started, due = actual.now, 0.0
        starts = [at for at in starts if at > actual.now - startup]
        seen = _with_slots(actual.signals, slots or actual.own_slots)
        if actual.now - started < due - EARLY_SHARE * tick_seconds:
            other = _between(previous, tick_seconds, state)
        else:
            own = _seen_by(seen, previous, len(starts))
            other = policy_at(actual)(state, own, actual.now)
            every = min(ZERO_TICK_SECONDS, tick_seconds) if other.desired == 0 else tick_seconds
            due = next_due(due, actual.now - started, every)
        following = decisions[number + 1] if number + 1 < len(decisions) else None
        last = following is None or starts_new_run(actual, following)
        seconds = 0.0 if following is None or last else following.now - actual.now
        rows.append(TickComparison(actual, other, previous, slots, seconds))
        starts += [actual.now] * max(0, other.desired - previous)
        starts = starts[: other.desired]
        state, previous, slots = other.state, other.desired, other.slots or slots
    return rows


def _between(previous: int, tick_seconds: float, state: dict[str, Any]) -> Decision:
    """What it does at a tick that is not its own: nothing."""
    return Decision(
        previous, "hold", f"{previous} held: it decides each {tick_seconds:g} s", {}, state
    )


def totals(rows: Iterable[TickComparison]) -> tuple[Totals, Totals]:
    """Those of what was decided, and those of the other policy."""
    rows = list(rows)
    return (
        Totals(
            sum(
                row.actual.fields["desired"]
                * _slot_factor(row.actual, actual_slots(row))
                * row.seconds
                for row in rows
            ),
            sum(row.actual.fields["desired"] != row.actual.fields["previous"] for row in rows),
        ),
        Totals(
            sum(
                row.other.desired
                * _slot_factor(row.actual, row.other.slots or row.slots)
                * row.seconds
                for row in rows
            ),
            sum(row.other.desired != row.previous for row in rows),
        ),
    )


def actual_slots(row: TickComparison) -> int | None:
    """The slots of a replica from that tick on; None if they could not be set."""
    decided: int | None = row.actual.fields.get("slots")
    return row.actual.signals.slots_asked if decided is None else decided


def _slot_factor(actual: RecordedDecision, slots: int | None) -> float:
    """How many times its own slots a replica had."""
    own = actual.own_slots or actual.signals.slots_per_replica
    return slots / own if slots and own else 1.0


def starts_new_run(before: RecordedDecision, after: RecordedDecision) -> bool:
    """Whether the autoscaler was started in between."""
    return not after.fields["state"] or after.now <= before.now


def startup_seconds(decisions: Iterable[RecordedDecision]) -> float:
    """How long replicas took to become ready, in the median."""
    replica_state = SloqState()
    for one in decisions:
        if one.signals.running <= 0:
            continue  # the resizer was away
        learned = learn_replicas(replica_state, one.signals.ready, one.signals.running, one.now)
        replica_state = replica_state.model_copy(update={**learned, "now": one.now})
    return median(replica_state.startups) if replica_state.startups else STARTUP_SECONDS


def _with_slots(signals: Signals, slots: int | None) -> Signals:
    """The signals with so many slots in each replica; with those that were measured if None."""
    if slots is None or signals.slots_per_replica is None:
        return signals
    # What was busy in a replica was so with the slots that it had.
    return replace(signals, slots_per_replica=slots, slots_asked=slots, busiest=None)


def _seen_by(signals: Signals, previous: int, starting: int) -> Signals:
    """The signals with the other policy's replicas instead of those that there were."""
    if signals.running <= 0:
        return replace(signals, desired=previous)  # the resizer was away
    ready = max(0, previous - starting)
    busy, queued, latency = signals.busy, signals.queued, signals.latency_seconds
    if signals.in_system is not None and signals.slots_per_replica is not None:
        busy = min(signals.in_system, float(ready * signals.slots_per_replica))
        queued = signals.in_system - busy
    if ready > signals.ready:
        latency = None  # that of fewer replicas says nothing about so many
    return replace(
        signals,
        desired=previous,
        running=previous,
        ready=ready,
        busy=busy,
        queued=queued,
        latency_seconds=latency,
    )
