"""A Deployment in a cluster: its pods, who set its number, and the resizer's process beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from tidegate.resizer.kubernetes.api import TIMEOUT_SECONDS, ClusterError
from tidegate.resizer.kubernetes.objects import HOLD, RESIZER, Deployment, Pod
from tidegate.resizer.kubernetes.pods import Snapshot
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.resizer.rate_limit import RateLimitedResizer

from .autoscaler import configured, event_log
from .network import ResizerServer
from .programs import Replica, Running
from .world import BEGIN_UNIX, SimulatedTime, World

RECONCILE_SECONDS: Final = 0.5
RESIZER_PORT: Final = 9103
# More pods than replicas exist while some drain.
SERVERS: Final = 32


class SimulatedPod:
    """A pod, whose container is started again when it ends."""

    def __init__(self, cluster: Cluster, index: int, name: str) -> None:
        self.cluster, self.index, self.name = cluster, index, name
        self.created_at = cluster.world.now
        self.ready_at: float | None = None
        self.deleted_at: float | None = None
        self.replica: Replica | None = None
        if cluster.world.kind("pod") != "pending":
            self.start()

    def start(self) -> None:
        """Start the container."""
        if self.deleted_at is None:
            this = self.cluster.world
            self.replica = Replica(
                this, self.index, 1, lambda _: this.later(1.0, self.start), bad=False
            )

    @property
    def ready(self) -> bool:
        """Whether it gets requests."""
        return self.replica is not None and self.replica.ready and self.deleted_at is None

    def as_object(self) -> Pod:
        """As the API server sends it."""
        ready = {
            "type": "Ready",
            "status": str(self.ready),
            "lastTransitionTime": _time(self.ready_at if self.ready else self.created_at),
        }
        metadata: dict[str, Any] = {
            "name": self.name,
            "creationTimestamp": _time(self.created_at),
            "ownerReferences": [{"kind": "ReplicaSet", "controller": True}],
        }
        if self.deleted_at is not None:
            metadata["deletionTimestamp"] = _time(self.deleted_at)
        phase = "Running" if self.replica else "Pending"
        return Pod.model_validate(
            {"metadata": metadata, "status": {"phase": phase, "conditions": [ready]}}
        )


class Cluster:
    """The Deployment, reconciled twice a second."""

    def __init__(self, this: World) -> None:
        self.world = this
        self.replicas, self.manager = this.setup.start, ""
        # Called with who sets the number, and the number.
        self.on_scale: list[Callable[[str, int], None]] = []
        self.pods: list[SimulatedPod] = []
        self._made = 0
        this.later(0.0, self._reconcile)

    def scale(self, number: int, manager: str) -> None:
        """Set the number. Of who set it the API server keeps one that applied it."""
        self.world.say(f"{manager or 'somebody'} scales the Deployment to {number}")
        for check in self.on_scale:
            check(manager, number)
        self.replicas, self.manager = number, manager

    def _reconcile(self) -> None:
        self.world.later(RECONCILE_SECONDS, self._reconcile)
        self.pods = [one for one in self.pods if one.deleted_at is None or not _ended(one)]
        for pod in self.pods:
            if pod.replica is None and pod.deleted_at is None and not self.world.kind("pod"):
                pod.start()
            pod.ready_at = (pod.ready_at or self.world.now) if pod.ready else None
        active = [one for one in self.pods if one.deleted_at is None]
        for pod in sorted(active, key=_leaves_first)[: max(0, len(active) - self.replicas)]:
            pod.deleted_at = self.world.now
            if pod.replica:
                pod.replica.terminate()
        for _ in range(self.replicas - len(active)):
            used = {one.index for one in self.pods}
            index = next(one for one in range(1, SERVERS + 1) if one not in used)
            self._made += 1
            self.pods.append(SimulatedPod(self, index, f"model-{self._made}"))
        ready = {one.index for one in self.pods if one.ready}
        for index, server in self.world.gateway.servers.items():
            if server.enabled != (index in ready):
                server.enabled = server.up = index in ready
        self.world.gateway.dispatch()


def _ended(pod: SimulatedPod) -> bool:
    return pod.replica is None or pod.replica.process.dead


def _leaves_first(pod: SimulatedPod) -> tuple[bool, float]:
    return pod.ready, -pod.created_at


def _time(at: float | None) -> str:
    return datetime.fromtimestamp(BEGIN_UNIX + (at or 0.0), UTC).isoformat()


class SimulatedDeployment:
    """In the place of `ClusterDeployment`: the calls to the API server, which can fail."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def read(self) -> Snapshot:
        """The Deployment and its pods."""
        at = self._cluster.world.now
        await self._call(lambda: None, reads=True)
        cluster = self._cluster
        fields = [{"manager": cluster.manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]
        deployment = Deployment.model_validate(
            {
                "metadata": {"managedFields": fields if cluster.manager else []},
                "spec": {
                    "selector": {"matchLabels": {"app": "model"}},
                    "replicas": cluster.replicas,
                },
            }
        )
        return Snapshot(deployment, tuple(one.as_object() for one in cluster.pods), at)

    async def scale(self, number: int) -> None:
        """Set the number."""
        await self._call(lambda: self._cluster.scale(number, RESIZER))

    async def hold(self) -> None:
        """Record that the 0 was set by hand."""
        await self._call(lambda: self._cluster.scale(0, HOLD))

    async def _call(self, act: Callable[[], None], *, reads: bool = False) -> None:
        this = self._cluster.world
        await this.delay()
        kind = this.kind("api")
        if kind == "slow":
            await asyncio.sleep(TIMEOUT_SECONDS)
        if kind not in {"", "lost-answer"} and (kind != "half" or reads):
            raise ClusterError(f"the API server: {kind}")
        act()
        if kind == "lost-answer":
            raise ClusterError("the API server: connection reset")
        await this.delay()


class ResizerProgram(Running):
    """`tidegate resizer` in Kubernetes, put together as its `run` does; another one has no server."""

    def __init__(
        self,
        cluster: Cluster,
        server: ResizerServer | None,
        on_exit: Callable[[int], None],
    ) -> None:
        name = "resizer" if server else "resizer of another"
        super().__init__(cluster.world, name, RESIZER_PORT if server else 0, on_exit)
        self._cluster, self._server = cluster, server
        self.resizer: KubernetesResizer
        self.after(0.4, self._begin)

    def _begin(self) -> None:
        self.ready = True
        if self._server:
            self.world.listeners[self.port] = self
        self.process.spawn(self._run())

    async def _run(self) -> None:
        settings, _ = configured(self.world.setup)
        deployment: Any = SimulatedDeployment(self._cluster)
        log = event_log(self.process.name)
        self.resizer = KubernetesResizer(
            deployment, settings.replicas, log, SimulatedTime.monotonic
        )
        if self._server:
            limited = RateLimitedResizer(
                self.resizer, self.world.setup.max, SimulatedTime.monotonic
            )
            self._server.process, self._server.resizer = self.process, limited
        await self.resizer.run()
