"""What to do so that there are as many replicas as wanted: pure, so that a test can ask anything."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Phase = Literal["down", "failed", "starting", "ready"]
# Who goes first when there are too many: what serves nobody.
_RANK: Final[dict[Phase, int]] = {"down": 0, "failed": 0, "starting": 1, "ready": 2}


@dataclass(frozen=True, slots=True)
class Member:
    """A replica that counts: it works, or is to work. Those that leave are not among them.

    Attributes:
        phase: `down` has ended although nobody asked it to.
        started_at: seconds since 1970.
        load: requests that it works on.
        stale: a copy of what Compose has replaced since; to be replaced, one after the other.
        overdue: it is not ready, for so long that it is to be replaced.
        revivable: it is down, and the time has come to start it again.
    """

    id: str
    number: int
    phase: Phase
    started_at: float
    load: float = 0.0
    stale: bool = False
    overdue: bool = False
    revivable: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: numbers to make, ids to start again, ids to drain and remove."""

    make: Sequence[int] = ()
    start: Sequence[str] = ()
    drain: Sequence[str] = ()


def plan(members: Sequence[Member], desired: int, taken: Collection[int]) -> Plan:
    """What to do so that there are `desired` replicas, all of them current.

    Given up are, in this order: those that serve nobody, those that still start, then of the ready ones
    the idlest, and of equals the newest. The lowest free numbers are taken.

    A stale replica works until another is ready in its place; one more than desired runs meanwhile.

    Args:
        members: the replicas that count.
        desired: how many there shall be.
        taken: the numbers that any container has, also one that leaves.
    """
    overdue = [one.id for one in members if one.overdue]
    counted = [one for one in members if not one.overdue]
    stale = [one for one in counted if one.stale]
    surplus = len(counted) - desired
    victims = sorted(counted, key=_worth)[: max(0, surplus)]
    ready = sum(one.phase == "ready" for one in counted)
    drain = list(overdue)
    for victim in victims:
        if victim.phase == "ready":
            if victim.stale and ready <= desired:
                continue  # its successor is not ready yet
            ready -= 1
        drain.append(victim.id)
    surge = 1 if stale and surplus <= 0 else 0
    start = [one.id for one in counted if one.revivable and one.id not in drain]
    return Plan(_free_numbers(max(0, surge - surplus), taken), start, drain)


def _worth(one: Member) -> tuple[bool, int, float, float, int]:
    return not one.stale, _RANK[one.phase], one.load, -one.started_at, -one.number


def _free_numbers(count: int, taken: Collection[int]) -> Sequence[int]:
    # Among so many numbers, as many as are taken can be taken.
    candidates = range(1, count + len(taken) + 1)
    return [number for number in candidates if number not in taken][:count]
