"""What the resizer's tests share."""

from dataclasses import dataclass, field

import pytest

from tidegate.resizer.base import Replica, ReplicaStatus, ResizeRefusedError


@dataclass
class MemoryResizer:
    """Replicas that are numbers; every one is ready at once."""

    least: int = 1
    most: int = 6
    count: int = 1
    asked: list[int] = field(default_factory=list)

    async def status(self) -> ReplicaStatus:
        replicas = [
            Replica(id=f"flights-{n}", state="ready", started_at=1.5, ready_at=2.5)
            for n in range(1, self.count + 1)
        ]
        return ReplicaStatus(
            desired=self.count, running=self.count, ready=self.count, replicas=replicas
        )

    async def resize(self, desired: int) -> ReplicaStatus:
        self.asked.append(desired)
        if not self.least <= desired <= self.most:
            raise ResizeRefusedError(f"{desired} is outside [{self.least}, {self.most}]")
        self.count = desired
        return await self.status()


@pytest.fixture
def resizer() -> MemoryResizer:
    return MemoryResizer()
