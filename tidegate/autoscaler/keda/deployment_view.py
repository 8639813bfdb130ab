"""The replicas where KEDA and the HPA set their number: read from the Deployment, and never changed here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.resizer.contract import Replica, ReplicaStatus, check_bounds
from tidegate.resizer.kubernetes.api import ClusterDeployment
from tidegate.resizer.kubernetes.objects import Deployment
from tidegate.resizer.kubernetes.pods import Snapshot, problems
from tidegate.runtime.event_log import EventLog
from tidegate.settings import Replicas


@dataclass(slots=True)
class DeploymentView:
    """A resizer that changes nothing: a request only has to be within the bounds; KEDA asks for it.

    A Deployment reports how many pods are ready, not which: the ids are numbers, and a replica is ready since
    its number was first seen.
    """

    source: ClusterDeployment
    bounds: Replicas
    decided: DecidedNumber
    event_log: EventLog
    clock: Callable[[], float]
    unix: Callable[[], float]
    _ready_at: list[float] | None = field(default=None, init=False)
    _replicas: int | None = field(default=None, init=False)

    def is_at_zero(self) -> bool:
        """Whether the Deployment asked for no pod when it was read last."""
        return self._replicas == 0

    async def status(self) -> ReplicaStatus:
        """The replicas now; `desired` is the last decision, and before the first one the Deployment's number.

        Raises:
            ClusterError: the API server cannot be reached, or refuses.
        """
        deployment = await self.source.deployment()
        self._replicas = deployment.spec.replicas
        last = self.decided.last
        desired = self._replicas if last is None else last
        found = problems(Snapshot(deployment, (), self.clock()))
        for name in ("paused", "refused"):
            if name in found:
                self.event_log.condition(name, found[name])
            else:
                self.event_log.resolved(name, f"{name}: resolved")
        replicas = self._list(deployment)
        return ReplicaStatus(
            desired=desired,
            running=len(replicas),
            ready=deployment.status.ready_replicas,
            replicas=replicas,
        )

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        """Check a request; KEDA gets the number from `decided`.

        Raises:
            ResizeRefusedError: the number is out of bounds, or slots are given.
            ClusterError: the API server cannot be reached, or refuses.
        """
        check_bounds(desired, self.bounds, slots, None)
        return await self.status()

    def _list(self, deployment: Deployment) -> list[Replica]:
        status, now = deployment.status, self.unix()
        if self._ready_at is None:  # those of an earlier run have been ready for an unknown time
            self._ready_at = [0.0] * status.ready_replicas
        del self._ready_at[status.ready_replicas :]
        self._ready_at += [now] * (status.ready_replicas - len(self._ready_at))
        ready = [
            Replica(id=str(number), state="ready", started_at=at, ready_at=at)
            for number, at in enumerate(self._ready_at, 1)
        ]
        starting = range(len(ready) + 1, status.replicas + 1)
        return ready + [
            Replica(id=str(number), state="starting", started_at=now) for number in starting
        ]
