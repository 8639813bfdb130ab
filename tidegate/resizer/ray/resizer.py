"""The resizer's contract for a deployment of Ray Serve."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tidegate.resizer.contract import Replica, ReplicaState, ReplicaStatus, check_bounds
from tidegate.resizer.ray.serve_api import ServeApi
from tidegate.resizer.startups import Startups
from tidegate.settings import Replicas

STATES: Final[dict[str, ReplicaState]] = {
    "STARTING": "starting",
    "UPDATING": "starting",
    "RECOVERING": "starting",
    "RUNNING": "ready",
    "PENDING_MIGRATION": "ready",
    "STOPPING": "draining",
}
"""Of Ray's states; others are not counted."""


class RayResizer:
    """The replicas of a deployment. Ray starts and drains them; there is nothing to do in between.

    Its clock is in seconds since 1970.
    """

    def __init__(
        self, api: ServeApi, replicas: Replicas, clock: Callable[[], float] = time.time
    ) -> None:
        self._api = api
        self._bounds = replicas
        self._clock = clock
        self._ready_at: dict[str, float] = {}
        self._startups = Startups()
        self._last: ReplicaStatus | None = None

    async def status(self) -> ReplicaStatus:
        """The replicas now.

        Raises:
            ResizerUnavailableError: Ray cannot be reached, or the deployment cannot be scaled.
        """
        deployment = await self._api.read()
        now = self._clock()
        found: list[Replica] = []
        for one in deployment.replicas:
            state = STATES.get(one.state)
            if state is None:
                continue
            if state == "ready":  # Ray does not report since when
                self._ready_at.setdefault(one.replica_id, now)
            found.append(
                Replica(
                    id=one.replica_id,
                    state=state,
                    started_at=one.start_time_s,
                    ready_at=self._ready_at.get(one.replica_id),
                )
            )
        present = {one.id for one in found}
        self._ready_at = {name: at for name, at in self._ready_at.items() if name in present}
        # Of those that are ready at the first look it is not known since when.
        startups = self._startups.update(found, longest=-1.0)
        self._last = ReplicaStatus.of(deployment.target_num_replicas, found, startups=startups)
        return self._last

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Request a number of replicas. Slots cannot be set.

        Raises:
            ResizeRefusedError: the number is out of bounds, slots were given, or Ray refuses.
            ResizerUnavailableError: Ray cannot be reached, or the deployment cannot be scaled.
        """
        check_bounds(desired, self._bounds, slots, None)
        await self._api.scale(desired)
        if self._last is None:
            return await self.status()
        # Ray takes the number at once and the replicas later: a second question tells nothing new.
        self._last = self._last.model_copy(update={"desired": desired})
        return self._last
