"""The resizer of the embedded size: the replicas are the supervisor's own children."""

from __future__ import annotations

from tidegate.resizer.base import Replica, ReplicaStatus, ResizeRefusedError
from tidegate.settings import Replicas
from tidegate.stack.replicas import ReplicaPool


class LocalResizer:
    """Asks the supervisor's pool, within the bounds of the settings."""

    def __init__(self, pool: ReplicaPool, bounds: Replicas) -> None:
        self._pool = pool
        self._bounds = bounds

    async def status(self) -> ReplicaStatus:
        """The replicas now."""
        replicas = [
            Replica(
                id=keeper.program.name,
                state="draining" if keeper.state == "gone" else keeper.state,
                started_at=keeper.started_at,
                ready_at=keeper.ready_at,
            )
            for _, keeper in sorted(self._pool.slots.items())
        ]
        ready = sum(one.state == "ready" for one in replicas)
        starting = sum(one.state == "starting" for one in replicas)
        return ReplicaStatus(
            desired=self._pool.desired, running=ready + starting, ready=ready, replicas=replicas
        )

    async def resize(self, desired: int) -> ReplicaStatus:
        """Ask for a number of replicas; returns at once, the change follows.

        Raises:
            ResizeRefusedError: the number is outside [min, max].
        """
        if not self._bounds.min <= desired <= self._bounds.max:
            raise ResizeRefusedError(
                f"{desired} replicas are outside [{self._bounds.min}, {self._bounds.max}]: "
                "see replicas.min and replicas.max"
            )
        self._pool.resize(desired)
        return await self.status()
