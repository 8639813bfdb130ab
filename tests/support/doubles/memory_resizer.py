"""A resizer in memory, for tests of its clients and servers."""

from __future__ import annotations

from dataclasses import dataclass, field

from tidegate.resizer.contract import Replica, ReplicaStatus, ResizeRefusedError


@dataclass
class MemoryResizer:
    """A resizer whose replicas are ready at once."""

    count: int = 1
    min_replicas: int = 1
    max_replicas: int = 6
    slots: int | None = None
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
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        if not self.min_replicas <= desired <= self.max_replicas:
            raise ResizeRefusedError(
                f"{desired} is outside [{self.min_replicas}, {self.max_replicas}]"
            )
        self.asked.append(desired)
        self.slots_asked.append(slots)
        self.count = desired
        self.slots = slots or self.slots
        return await self.status()
