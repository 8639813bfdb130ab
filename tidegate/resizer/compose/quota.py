"""The CPU quota of a replica: in proportion to the slots that were asked for.

In Compose a replica's slots stay as they are; what it is lent is CPU to work on them faster. How much of its
own it has, and how much is lent, must survive a resizer that is killed, and only the container itself can
hold it. So a lent quota carries its number of slots in its last four digits, which the engine drops: it
reckons in microseconds of each 100 ms, that is in steps of 10,000 of a billionth of a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.resizer.base import SLOTS_ARE_FIXED
from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, Json

STEP: Final = 10_000
"""What the engine reckons in, in billionths of a CPU."""
MOST_SLOTS: Final = 256
"""As many as `slots.max` may be. More in these digits are a definition's own: `cpus: 0.333333`."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one container.

    Attributes:
        own: what its definition gives it, in billionths of a CPU.
        slots: those that it has the quota for.
    """

    own: int
    slots: int


def read_quota(inspected: Json, own_slots: int) -> Quota | None:
    """The quota of a container as `inspect` shows it; None if it has none.

    Args:
        inspected: what the engine says of it.
        own_slots: the slots of a replica to which nothing is lent.
    """
    told = int(inspected["HostConfig"].get("NanoCpus") or 0)
    if told <= 0:
        return None
    whole, slots = told // STEP * STEP, told % STEP
    if not 1 <= slots <= MOST_SLOTS:
        return Quota(told, own_slots)
    return Quota(_in_steps(whole * own_slots / slots), slots)


def nano_cpus(quota: Quota, own_slots: int) -> int:
    """What the engine is told for it: the other way round."""
    if quota.slots == own_slots:
        return quota.own
    return _in_steps(quota.own * quota.slots / own_slots) + quota.slots


def _in_steps(billionths: float) -> int:
    return max(1, round(billionths / STEP)) * STEP


@dataclass(frozen=True, slots=True)
class Lender:
    """Lends CPU to the replicas of a service.

    Attributes:
        own_slots: the slots of a replica to which nothing is lent.
        most: the most slots that may be asked for; None if none may.
    """

    engine: Engine
    own_slots: int
    most: int | None

    def why_not(self, template: Container | None) -> str:
        """Why nothing can be lent, in words; empty if it can."""
        if self.most is None:
            return SLOTS_ARE_FIXED
        if template is not None and read_quota(template.inspected, self.own_slots) is None:
            return (
                "slots stand for CPU here, and the service has no limit of it to lend more of: give it"
                " one in the Compose file (cpus)"
            )
        return ""

    def in_force(self, containers: Iterable[Container]) -> int:
        """The slots that the replicas have the quota for: the most of them, if they differ."""
        quotas = [read_quota(one.inspected, self.own_slots) for one in containers]
        return max((one.slots for one in quotas if one), default=self.own_slots)

    async def lend(self, containers: Iterable[Container], slots: int) -> Sequence[str]:
        """Give every container the quota for so many slots, in proportion to its own.

        Returns:
            The names of those that had another.

        Raises:
            EngineError: the engine refuses: it has not that many CPUs.
            EngineGoneError: it cannot be reached.
        """
        changed = []
        for one in containers:
            has = read_quota(one.inspected, self.own_slots)
            if has and has.slots != slots:
                told = nano_cpus(Quota(has.own, slots), self.own_slots)
                await self.engine.update(one.id, {"NanoCpus": told})
                changed.append(one.name)
        return changed
