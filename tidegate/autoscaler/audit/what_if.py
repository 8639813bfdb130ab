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

from tidegate.autoscaler.audit.decisions import Decided
from tidegate.autoscaler.live.loop import ZERO_TICK_SECONDS, next_due
from tidegate.autoscaler.sloq.learning import learn_replicas
from tidegate.autoscaler.sloq.state import Memory
from tidegate.autoscaler.types import Decision, Policy, Signals

STARTUP_SECONDS = 30.0
# Of the time between two ticks: one that comes so much early is on time, as recorded ones are not alike late.
EARLY_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Row:
    """A tick.

    Attributes:
        actual: what was decided.
        other: what the other policy decides.
        held: the number that it held before.
        slots: the slots of a replica that it decided last before; None if it never did.
        seconds: until the next tick of the same run; 0 at the end of one.
    """

    actual: Decided
    other: Decision
    held: int
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
    decisions: Sequence[Decided], policy_at: Callable[[Decided], Policy], tick_seconds: float
) -> list[Row]:
    """Let another policy decide from the number that it decided before.

    Args:
        decisions: what was decided.
        policy_at: the other policy, as it is bounded at a tick.
        tick_seconds: how often it decides; at recorded ticks in between it holds its number.
    """
    startup = startup_seconds(decisions)
    rows: list[Row] = []
    state: dict[str, Any] = {}
    held, starts, slots = 0, list[float](), None
    began, due = 0.0, 0.0
    for number, actual in enumerate(decisions):
        if not number or begins_anew(decisions[number - 1], actual):
            state, held, starts, slots = {}, actual.signals.desired, [], None
            began, due = actual.now, 0.0
        starts = [at for at in starts if at > actual.now - startup]
        seen = _with_slots(actual.signals, slots or actual.own_slots)
        if actual.now - began < due - EARLY_SHARE * tick_seconds:
            other = _between(held, tick_seconds, state)
        else:
            own = _seen_by(seen, held, len(starts))
            other = policy_at(actual)(state, own, actual.now)
            every = min(ZERO_TICK_SECONDS, tick_seconds) if other.desired == 0 else tick_seconds
            due = next_due(due, actual.now - began, every)
        following = decisions[number + 1] if number + 1 < len(decisions) else None
        last = following is None or begins_anew(actual, following)
        seconds = 0.0 if following is None or last else following.now - actual.now
        rows.append(Row(actual, other, held, slots, seconds))
        starts += [actual.now] * max(0, other.desired - held)
        starts = starts[: other.desired]
        state, held, slots = other.state, other.desired, other.slots or slots
    return rows


def _between(held: int, tick_seconds: float, state: dict[str, Any]) -> Decision:
    """What it does at a tick that is not its own: nothing."""
    return Decision(held, "hold", f"{held} held: it decides each {tick_seconds:g} s", {}, state)


def totals(rows: Iterable[Row]) -> tuple[Totals, Totals]:
    """Those of what was decided, and those of the other policy."""
    rows = list(rows)
    return (
        Totals(
            sum(
                row.actual.told["desired"] * _lent(row.actual, actual_slots(row)) * row.seconds
                for row in rows
            ),
            sum(row.actual.told["desired"] != row.actual.told["previous"] for row in rows),
        ),
        Totals(
            sum(
                row.other.desired * _lent(row.actual, row.other.slots or row.slots) * row.seconds
                for row in rows
            ),
            sum(row.other.desired != row.held for row in rows),
        ),
    )


def actual_slots(row: Row) -> int | None:
    """The slots of a replica from that tick on; None if they could not be set."""
    decided: int | None = row.actual.told.get("slots")
    return row.actual.signals.slots_asked if decided is None else decided


def _lent(actual: Decided, slots: int | None) -> float:
    """How many times its own slots a replica had."""
    own = actual.own_slots or actual.signals.slots_per_replica
    return slots / own if slots and own else 1.0


def begins_anew(before: Decided, after: Decided) -> bool:
    """Whether the autoscaler was started in between."""
    return not after.told["state"] or after.now <= before.now


def startup_seconds(decisions: Iterable[Decided]) -> float:
    """How long replicas took to become ready, in the median."""
    memory = Memory()
    for one in decisions:
        if one.signals.running <= 0:
            continue  # the resizer was away
        learned = learn_replicas(memory, one.signals.ready, one.signals.running, one.now)
        memory = memory.model_copy(update={**learned, "now": one.now})
    return median(memory.startups) if memory.startups else STARTUP_SECONDS


def _with_slots(signals: Signals, slots: int | None) -> Signals:
    """The signals with so many slots in each replica; with those that were measured if None."""
    if slots is None or signals.slots_per_replica is None:
        return signals
    # What was busy in a replica was so with the slots that it had.
    return replace(signals, slots_per_replica=slots, slots_asked=slots, busiest=None)


def _seen_by(signals: Signals, held: int, starting: int) -> Signals:
    """The signals with the other policy's replicas instead of those that there were."""
    if signals.running <= 0:
        return replace(signals, desired=held)  # the resizer was away
    ready = max(0, held - starting)
    busy, queued, latency = signals.busy, signals.queued, signals.latency_seconds
    if signals.in_system is not None and signals.slots_per_replica is not None:
        busy = min(signals.in_system, float(ready * signals.slots_per_replica))
        queued = signals.in_system - busy
    if ready > signals.ready:
        latency = None  # that of fewer replicas says nothing about so many
    return replace(
        signals,
        desired=held,
        running=held,
        ready=ready,
        busy=busy,
        queued=queued,
        latency_seconds=latency,
    )
