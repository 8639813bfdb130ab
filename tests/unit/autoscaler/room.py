"""An autoscaler with a resizer and a Prometheus in memory: a test moves time from tick to tick."""

from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import generate_latest

from support.memory_resizer import MemoryResizer
from tidegate.autoscaler.live.loop import Autoscaler
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policies.hpa import hpa
from tidegate.autoscaler.types import Bounds
from tidegate.resizer.client import ResizerUnavailableError
from tidegate.resizer.contract import ReplicaStatus, ResizeRefusedError

# 1.4 in system is one replica's worth.
ONE = Reading(10.0, 0.1, 1.4, 2, 0.2, 1.0)
THREE = replace(ONE, in_system=4.2)


@dataclass
class Room(MemoryResizer):
    """A resizer that may be away or deaf, and a Prometheus that says `reading`."""

    max_replicas: int = 10
    away: bool = False
    deaf: bool = False
    reading: Reading = ONE

    async def read(self) -> Reading:
        return self.reading

    async def status(self) -> ReplicaStatus:
        if self.away:
            raise ResizerUnavailableError("gone")
        return await super().status()

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        self.asked.append(desired)
        self.slots_asked.append(slots)
        if self.deaf:
            raise ResizerUnavailableError("deaf")
        if desired > self.max_replicas:
            raise ResizeRefusedError(f"at most {self.max_replicas}")
        self.count = desired
        self.slots = slots or self.slots
        return await self.status()


@dataclass
class Run:
    """An autoscaler in that room."""

    room: Room
    desk: Any
    metrics: Metrics = field(default_factory=Metrics)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.autoscaler = Autoscaler(
            policy_name="hpa",
            policy=hpa(Bounds(1, 10)),
            read=self.room.read,
            resizer=self.room,
            event_log=self.desk.event_log,
            metrics=self.metrics,
            unix=lambda: 1_700_000_000.0 + self.now,
        )

    async def tick(self, **changes: Any) -> int | None:
        """The number decided five seconds later, after these changes of the room."""
        for name, value in changes.items():
            setattr(self.room, name, value)
        self.now += 5.0
        decision = await self.autoscaler.tick(self.now)
        return decision.desired if decision else None


def shown(run: Run) -> str:
    """The autoscaler's metrics, as Prometheus reads them."""
    return generate_latest(run.metrics.registry).decode()
