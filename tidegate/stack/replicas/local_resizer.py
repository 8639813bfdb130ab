"""The resizer of local mode: the replicas are child processes of the supervisor."""

from __future__ import annotations

from tidegate.resizer.contract import Replica, ReplicaStatus, check_bounds
from tidegate.resizer.startups import Startups
from tidegate.settings import Replicas
from tidegate.stack.replicas.replica_pool import ReplicaPool
from tidegate.stack.replicas.replica_slots import SlotsController


class LocalResizer:
    """Resizes a supervisor's replicas within the bounds of the settings; without a controller, slots stay."""

    def __init__(
        self, pool: ReplicaPool, bounds: Replicas, slots: SlotsController | None = None
    ) -> None:
        self._pool = pool
        self._bounds = bounds
        self._slots = slots
        self._startups = Startups()

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        replicas = [
            Replica(
                id=process.program.name,
                state="draining" if process.state == "gone" else process.state,
                started_at=process.started_at,
                ready_at=process.ready_at,
            )
            for _, process in sorted(self._pool.processes.items())
        ]
        slots = self._slots.desired if self._slots else None
        startups, waiting = self._startups.update(replicas), self._pool.missing()
        return ReplicaStatus.of(
            self._pool.desired, replicas, slots, startups=startups, waiting=waiting
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Set the desired number of replicas, and of slots in each; returns before the change is complete.

        Raises:
            ResizeRefusedError: a number is outside its bounds, or slots cannot be set; nothing is changed.
        """
        check_bounds(desired, self._bounds, slots, self._slots.max_slots if self._slots else None)
        self._pool.resize(desired)
        if self._slots and slots is not None:
            self._slots.resize(slots)
        return await self.status()
