"""The CPU quota of a replica, in proportion to the requested slots.

In Compose the slots of a replica do not change; it is lent CPU to serve them faster. Both its base quota and
the lent quota must survive a restart of the resizer. So a lent quota holds the number of slots in its last
four digits, which the engine ignores: it schedules in microseconds of each 100 ms, which are steps of 10,000
billionths of a CPU. One call changes the quota and the number together. Docker's `update` changes no label,
and a file would be a second step and a volume: if it were lost, a lent quota would be multiplied again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, Json
from tidegate.resizer.contract import FIXED_SLOTS_MESSAGE

STEP: Final = 10_000
"""The engine's resolution, in billionths of a CPU."""
MAX_SLOTS: Final = 256
"""The maximum of `slots.max`. Larger last digits belong to a definition's quota: `cpus: 0.333333`."""


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota of one container: its definition's, in billionths of a CPU, and its slots now."""

    base: int
    slots: int


def read_quota(inspected: Json, base_slots: int) -> Quota | None:
    """The quota of a container as `inspect` returns it; None if it has none."""
    present = int(inspected["HostConfig"].get("NanoCpus") or 0)
    if present <= 0:
        return None
    whole, slots = present // STEP * STEP, present % STEP
    if not 1 <= slots <= MAX_SLOTS:
        return Quota(present, base_slots)
    return Quota(_round_to_step(whole * base_slots / slots), slots)


def nano_cpus(quota: Quota, base_slots: int) -> int:
    """The value of `NanoCpus` for a quota."""
    if quota.slots == base_slots:
        return quota.base
    return _round_to_step(quota.base * quota.slots / base_slots) + quota.slots


def _round_to_step(billionths: float) -> int:
    return max(1, round(billionths / STEP)) * STEP


@dataclass(frozen=True, slots=True)
class CpuLender:
    """Lends CPU to the replicas of a service, which have `base_slots` without it.

    Without `max_slots`, the most that can be requested, slots are fixed.
    """

    engine: Engine
    base_slots: int
    max_slots: int | None

    def refusal_reason(self, template: Container | None) -> str:
        """Why no CPU can be lent; empty if it can."""
        if self.max_slots is None:
            return FIXED_SLOTS_MESSAGE
        if template is not None and read_quota(template.inspected, self.base_slots) is None:
            return (
                "slots stand for CPU here, but the service has no CPU limit that could be raised: set `cpus`"
                " in the Compose file"
            )
        return ""

    def current_slots(self, containers: Iterable[Container]) -> int:
        """The number of slots that the quotas of the replicas are for; the largest if they differ."""
        quotas = [read_quota(one.inspected, self.base_slots) for one in containers]
        return max((one.slots for one in quotas if one), default=self.base_slots)

    async def lend(self, containers: Iterable[Container], slots: int) -> Sequence[str]:
        """Set the quota of every container to that of a number of slots, in proportion to its base quota.

        Returns:
            The names of the containers that were changed.

        Raises:
            EngineError: the engine refuses: the host has fewer CPUs.
            EngineUnavailableError: the engine cannot be reached.
        """
        changed = []
        for one in containers:
            quota = read_quota(one.inspected, self.base_slots)
            if quota and quota.slots != slots:
                lent = nano_cpus(Quota(quota.base, slots), self.base_slots)
                await self.engine.update(one.id, {"NanoCpus": lent})
                changed.append(one.name)
        return changed
