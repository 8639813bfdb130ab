"""How the number of replicas follows the decisions of an autoscaler."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, nextafter


@dataclass(frozen=True, slots=True)
class Number:
    """A number of replicas from a moment on: decided, or set.

    Attributes:
        at: seconds since 1970.
        replicas: the number.
    """

    at: float
    replicas: int


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of an autoscaler, each judged by the number that was set just before the next one.

    Attributes:
        all: how many there were.
        equal: those on which the number was the decided one.
        unchanged: those that decided the same number as the tick before.
        unchanged_equal: those of them on which the number was the decided one.
    """

    all: int
    equal: int
    unchanged: int
    unchanged_equal: int


def number_at(numbers: Sequence[Number], at: float) -> int | None:
    """The number in force just before a moment; None before the first one."""
    index = bisect_left([one.at for one in numbers], at)
    return numbers[index - 1].replicas if index else None


def judge(decisions: Sequence[Number], sizes: Sequence[Number], begin: float, end: float) -> Ticks:
    """Compare the set numbers with the decisions between two moments.

    Args:
        decisions: the decision of each tick, also of the one before `begin` and the one after `end`.
        sizes: the changes of the set number.
        begin: the first tick is the first one after it.
        end: no later tick counts.
    """
    judged: list[tuple[bool, bool]] = []
    for (before, now), (_, following) in pairwise(pairwise(decisions)):
        if begin <= now.at and following.at <= end:
            equal = number_at(sizes, following.at) == now.replicas
            judged.append((equal, before.replicas == now.replicas))
    unchanged = [equal for equal, same in judged if same]
    return Ticks(len(judged), sum(equal for equal, _ in judged), len(unchanged), sum(unchanged))


def lags(
    decisions: Sequence[Number], sizes: Sequence[Number], begin: float, end: float
) -> list[float]:
    """The duration of each time in which the set number was not the decided one, in seconds.

    A decision that changes again meanwhile does not end such a time; one that returns to the set number does.
    """
    moments = sorted({one.at for one in (*decisions, *sizes) if begin <= one.at <= end})
    found: list[float] = []
    since: float | None = None
    for at in moments:
        # In force from this moment on.
        decided, size = (number_at(each, nextafter(at, inf)) for each in (decisions, sizes))
        if decided != size and since is None:
            since = at
        elif decided == size and since is not None:
            found.append(at - since)
            since = None
    return found


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a step of the load led to.

    Attributes:
        first_seconds: until the first higher number; None if there was none before the next step.
        last_seconds: until the last higher number before the next step.
        before: the number before the step.
        after: the number at the next step.
    """

    first_seconds: float | None
    last_seconds: float | None
    before: int
    after: int


def react(sizes: Sequence[Number], step: float, following: float) -> Reaction:
    """The reaction to a rise of the load at one moment, up to the next one."""
    before, after = number_at(sizes, step), number_at(sizes, following)
    if before is None or after is None:
        raise ValueError("no number was set before the step")
    rises = [
        now.at - step
        for earlier, now in pairwise(sizes)
        if step <= now.at < following and now.replicas > earlier.replicas
    ]
    return Reaction(rises[0] if rises else None, rises[-1] if rises else None, before, after)
