"""The parts of a stack in Kubernetes, which the kubelet starts again, and what holds for it."""

from __future__ import annotations

from tidegate.resizer.kubernetes.objects import HOLD, RESIZER

from .autoscaler import AutoscalerProgram
from .cluster import SERVERS, Cluster, ResizerProgram
from .invariants import DecisionChecks, Removals
from .network import PrometheusServer, ResizerServer
from .programs import Running
from .world import World

RESTART_SECONDS = 1.5
# For so long after a lost answer a resizer does not know which number is in force.
UNKNOWN_SECONDS = 5.0


class ClusterStack:
    """The Deployment, its resizer and its autoscaler."""

    def __init__(
        self,
        this: World,
        prometheus: PrometheusServer,
        resizer: ResizerServer,
    ) -> None:
        self.world, self.resizer = this, resizer
        self._prometheus = prometheus
        self.cluster = Cluster(this)
        this.gateway.begin(this.process("gateway"), SERVERS)
        self.resizing = self.new_resizer(resizer)
        self.new_autoscaler("autoscaler")

    def new_resizer(self, server: ResizerServer | None) -> ResizerProgram:
        """Start a resizer's process; one without a server is another one, of the same Deployment."""

        def again(code: int) -> None:
            del code
            if server:
                self.world.later(
                    RESTART_SECONDS, lambda: setattr(self, "resizing", self.new_resizer(server))
                )

        return ResizerProgram(self.cluster, server, again)

    def new_autoscaler(self, name: str) -> Running:
        """Start an autoscaler's process."""

        def again(code: int) -> None:
            del code
            if name == "autoscaler":
                self.world.later(RESTART_SECONDS, lambda: self.new_autoscaler(name))

        return AutoscalerProgram(self.world, self._prometheus, self.resizer, name, again)


class ClusterChecks:
    """What holds for a stack in Kubernetes."""

    def __init__(self, stack: ClusterStack, decisions: DecisionChecks) -> None:
        self.world, self._stack, self._decisions = stack.world, stack, decisions
        self._removals = Removals(stack.world)
        self._resizer: ResizerProgram | None = None
        self.world.checks.append(self._step)
        stack.cluster.on_scale.append(self._scaled)
        stack.resizer.on_resize.append(decisions.resized)
        # Whether somebody has set 0 by hand, which the resizer has had the time to see.
        self._zero_since: float | None = None

    def _step(self) -> None:
        resizer = self._stack.resizing
        if resizer is not self._resizer:
            self._resizer = resizer
            self._removals.restart()
        if (desired := self._desired()) is not None and desired != self._removals.number:
            self._removals.observe(desired)

    def _desired(self) -> int | None:
        resizer = getattr(self._stack.resizing, "resizer", None)
        return resizer._desired if resizer else None

    def _scaled(self, manager: str, number: int) -> None:
        setup = self.world.setup
        if manager == "":
            desired = self._desired()
            self._zero_since = self.world.now if number == 0 and desired else None
        elif manager == RESIZER:
            if not setup.min <= number <= setup.max:
                self.world.fail("within the bounds", f"the resizer set {number} replicas")
            if number > 0 and self._must_stay_zero():
                self.world.fail("a zero set by hand stays", f"the resizer set {number} replicas")

    def _must_stay_zero(self) -> bool:
        """Whether a resizer knows that somebody has set 0: it saw how, or another has recorded it."""
        if self._zero_since is None:
            return False
        since = self.world.now - self._zero_since
        if self._stack.cluster.manager == HOLD:
            # A second one may have read another number before.
            return self.world.kind("resizer-process") != "second"
        restarted = self.world.has_had("resizer-process", since)
        restarted |= self._stack.resizing.started_at > self._zero_since
        return not restarted and not self.world.has_had("api", since + UNKNOWN_SECONDS)

    def unsettled(self) -> str:
        """Why the stack is not as it should be without faults; empty if it is."""
        cluster, desired = self._stack.cluster, self._desired()
        if desired is None:
            return "no resizer runs"
        if cluster.replicas != desired:
            return f"the Deployment has {cluster.replicas} replicas, the resizer wants {desired}"
        active = [one for one in cluster.pods if one.deleted_at is None]
        if len(active) != desired or not all(one.ready for one in active):
            return f"{sum(one.ready for one in active)} of {len(active)} pods are ready"
        return self._decisions.follows(desired)
