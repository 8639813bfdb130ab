"""The resizer of the local mode: the replicas are child processes of the supervisor."""

from __future__ import annotations

from tidegate.resizer.contract import Replica, ReplicaStatus, check_bounds
from tidegate.settings import Replicas
from tidegate.stack.replicas.replica_slots import SlotsPool
from tidegate.stack.replicas.replicas import ReplicaPool


class LocalResizer:
    """Asks the supervisor's pools, within the bounds of the settings.

    Args:
        pool: the replicas.
        bounds: of their number.
        slots: what sets their slots; None if they stay as they are.
    """

    def __init__(self, pool: ReplicaPool, bounds: Replicas, slots: SlotsPool | None = None) -> None:
        self._pool = pool
        self._bounds = bounds
        self._slots = slots

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
            desired=self._pool.desired,
            running=ready + starting,
            ready=ready,
            replicas=replicas,
            slots=self._slots.desired if self._slots else None,
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Ask for a number of replicas, and of slots in each; returns at once, the change follows.

        Raises:
            ResizeRefusedError: a number is outside its bounds, or slots cannot be set; nothing is changed.
        """
        check_bounds(desired, self._bounds, slots, self._slots.most if self._slots else None)
        self._pool.resize(desired)
        if self._slots and slots is not None:
            self._slots.resize(slots)
        return await self.status()
