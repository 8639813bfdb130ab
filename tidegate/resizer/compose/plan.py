"""Decides which replicas to create, restart and drain. Pure functions without I/O."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Phase = Literal["down", "failed", "starting", "ready"]
# The order in which surplus replicas are drained: first those that serve no requests.
_RANK: Final[dict[Phase, int]] = {"down": 0, "failed": 0, "starting": 1, "ready": 2}


@dataclass(frozen=True, slots=True)
class ManagedReplica:
    """A replica that counts towards the desired number. Replicas that are being stopped do not.

    Attributes:
        phase: `down` means that it exited without a request to stop.
        started_at: seconds since 1970.
        load: the number of requests in progress.
        stale: a copy of a definition that Compose has replaced since; stale replicas are replaced one by one.
        overdue: it has not been ready for so long that it must be replaced.
        restartable: it is down, and its restart delay has passed.
    """

    id: str
    number: int
    phase: Phase
    started_at: float
    load: float = 0.0
    stale: bool = False
    overdue: bool = False
    restartable: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers of the replicas to create, and the ids of those to restart and to drain."""

    create: Sequence[int] = ()
    restart: Sequence[str] = ()
    drain: Sequence[str] = ()


def plan(replicas: Sequence[ManagedReplica], desired: int, taken: Collection[int]) -> Plan:
    """The operations that lead to `desired` replicas, all of the current definition.

    Surplus replicas are drained in this order: those that serve no requests, those that are starting, then
    the ready ones with the lowest load, and at equal load the newest. New ones get the lowest
    numbers that no container has, also none that is being stopped.

    A stale replica keeps serving until another is ready in its place; meanwhile one more than desired runs.
    """
    overdue = [one.id for one in replicas if one.overdue]
    counted = [one for one in replicas if not one.overdue]
    stale = [one for one in counted if one.stale]
    surplus = len(counted) - desired
    candidates = sorted(counted, key=_drain_order)[: max(0, surplus)]
    ready = sum(one.phase == "ready" for one in counted)
    drain = list(overdue)
    for one in candidates:
        if one.phase == "ready":
            if one.stale and ready <= desired:
                continue  # its successor is not ready yet
            ready -= 1
        drain.append(one.id)
    surge = 1 if stale and surplus <= 0 else 0
    restart = [one.id for one in counted if one.restartable and one.id not in drain]
    return Plan(_free_numbers(max(0, surge - surplus), taken), restart, drain)


def _drain_order(one: ManagedReplica) -> tuple[bool, int, float, float, int]:
    return not one.stale, _RANK[one.phase], one.load, -one.started_at, -one.number


def _free_numbers(count: int, taken: Collection[int]) -> Sequence[int]:
    # At most len(taken) of these numbers are taken, so at least `count` are free.
    candidates = range(1, count + len(taken) + 1)
    return [number for number in candidates if number not in taken][:count]
