"""A resizer in memory, for what stands in front of one."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.resizer.contract import Lends, Replica, ReplicaStatus, ResizeRefusedError


@dataclass
class MemoryResizer:
    """Replicas that are numbers; every one is ready at once."""

    count: int = 1
    least: int = 1
    most: int = 6
    slots: int | None = None
    lends: Lends = "slots"
    asked: list[int] = field(default_factory=list)
    slots_asked: list[int | None] = field(default_factory=list)

    async def status(self) -> ReplicaStatus:
        replicas = [
            Replica(id=f"flights-{n}", state="ready", started_at=1.5, ready_at=2.5)
            for n in range(1, self.count + 1)
        ]
        return ReplicaStatus(
            desired=self.count,
            running=self.count,
            ready=self.count,
            replicas=replicas,
            slots=self.slots,
            lends=self.lends,
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        if not self.least <= desired <= self.most:
            raise ResizeRefusedError(f"{desired} is outside [{self.least}, {self.most}]")
        self.asked.append(desired)
        self.slots_asked.append(slots)
        self.count = desired
        self.slots = slots or self.slots
        return await self.status()
