"""The CPU quota of a replica, in proportion to the slots that were asked for.

In Compose the slots of a replica do not change; it is lent CPU to serve them faster. Its own quota and what
is lent must survive a restart of the resizer. So a lent quota holds the number of slots in its last four
digits, which the engine ignores: it schedules in microseconds of each 100 ms, which are steps of 10,000
billionths of a CPU (docs/adr/lent-cpu-is-in-the-quota.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, Json
from tidegate.resizer.contract import SLOTS_ARE_FIXED

STEP: Final = 10_000
"""The engine's resolution, in billionths of a CPU."""
MOST_SLOTS: Final = 256
"""The maximum of `slots.max`. A larger number in these digits is a definition's own: `cpus: 0.333333`."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one container.

    Attributes:
        own: that of its definition, in billionths of a CPU.
        slots: the number of slots that the present quota is for.
    """

    own: int
    slots: int


def read_quota(inspected: Json, own_slots: int) -> Quota | None:
    """The quota of a container; None if it has none.

    Args:
        inspected: the container as `inspect` returns it.
        own_slots: the slots of a replica without lent CPU.
    """
    present = int(inspected["HostConfig"].get("NanoCpus") or 0)
    if present <= 0:
        return None
    whole, slots = present // STEP * STEP, present % STEP
    if not 1 <= slots <= MOST_SLOTS:
        return Quota(present, own_slots)
    return Quota(_in_steps(whole * own_slots / slots), slots)


def nano_cpus(quota: Quota, own_slots: int) -> int:
    """The value of `NanoCpus` for a quota."""
    if quota.slots == own_slots:
        return quota.own
    return _in_steps(quota.own * quota.slots / own_slots) + quota.slots


def _in_steps(billionths: float) -> int:
    return max(1, round(billionths / STEP)) * STEP


@dataclass(frozen=True, slots=True)
class Lender:
    """Lends CPU to the replicas of a service.

    Attributes:
        own_slots: the slots of a replica without lent CPU.
        most: the maximum number of slots that can be asked for; None if slots are fixed.
    """

    engine: Engine
    own_slots: int
    most: int | None

    def why_not(self, template: Container | None) -> str:
        """Why no CPU can be lent; empty if it can."""
        if self.most is None:
            return SLOTS_ARE_FIXED
        if template is not None and read_quota(template.inspected, self.own_slots) is None:
            return (
                "slots stand for CPU here, and the service has no limit of it to lend more of: give it"
                " one in the Compose file (cpus)"
            )
        return ""

    def in_force(self, containers: Iterable[Container]) -> int:
        """The number of slots that the quotas of the replicas are for; the largest if they differ."""
        quotas = [read_quota(one.inspected, self.own_slots) for one in containers]
        return max((one.slots for one in quotas if one), default=self.own_slots)

    async def lend(self, containers: Iterable[Container], slots: int) -> Sequence[str]:
        """Set the quota of every container to that of a number of slots, in proportion to its own.

        Returns:
            The names of those that it changed.

        Raises:
            EngineError: the engine refuses: the host has fewer CPUs.
            EngineGoneError: the engine cannot be reached.
        """
        changed = []
        for one in containers:
            has = read_quota(one.inspected, self.own_slots)
            if has and has.slots != slots:
                lent = nano_cpus(Quota(has.own, slots), self.own_slots)
                await self.engine.update(one.id, {"NanoCpus": lent})
                changed.append(one.name)
        return changed
