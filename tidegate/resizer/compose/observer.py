"""Observes the service: its containers and the state of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container, parse_container
from tidegate.resizer.compose.engine import Engine
from tidegate.resizer.compose.external_stops import ExternalStopTracker
from tidegate.resizer.compose.history import ReplicaHistory
from tidegate.resizer.compose.plan import ManagedReplica, Phase
from tidegate.resizer.compose.replica_probe import ReplicaProbe
from tidegate.settings import Replicas

# A client that creates a container starts it within this time, or has failed.
CREATED_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class ComposeService:
    """The Compose service whose replicas are scaled."""

    project: str
    name: str

    def replica_name(self, number: int) -> str:
        """The name that Compose would give to the replica of this number."""
        return f"{self.project}-{self.name}-{number}"


@dataclass(slots=True)
class Observer:
    """Observes one service; `clock` is in seconds since 1970, `monotonic` on a monotonic clock."""

    engine: Engine
    service: ComposeService
    probe: ReplicaProbe
    external_stops: ExternalStopTracker
    settings: Replicas
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    containers: Sequence[Container] = field(default=(), init=False)
    history: ReplicaHistory = field(default_factory=ReplicaHistory, init=False)
    _ready: Collection[str] = field(default=(), init=False)

    async def refresh(self, exclude: Collection[int] = ()) -> None:
        """Read the present state of all containers but those of these numbers, which are being started."""
        found = await self.engine.replicas(self.service.project, self.service.name, exclude)
        containers = sorted(map(parse_container, found), key=lambda one: (one.number, one.id))
        self._ready = await self.probe.ready(containers)
        self.history.update(containers, self._ready, at=self.clock(), now=self.monotonic())
        self.containers = containers

    def compose_is_replacing(self) -> bool:
        """Whether Compose is replacing a container; False again if it has not finished in time."""
        # Compose drains the old container first, for up to drain_seconds.
        timeout = self.settings.drain_seconds + 2 * CREATED_SECONDS
        now = self.monotonic()
        return any(
            one.in_replacement and now - self.history.of(one).first_seen < timeout
            for one in self.containers
        )

    def replicas(self, draining: Collection[str], template: Container) -> list[ManagedReplica]:
        """The replicas that count towards the desired number; a copy of another template is stale."""
        now = self.monotonic()
        return [
            self._replica(one, template, now)
            for one in self.containers
            if one.id not in draining and self._counts(one, now)
        ]

    def phase(self, container: Container) -> Phase:
        """The phase of a container."""
        if container.status == "exited":
            return "down"
        if container.id in self._ready:
            return "ready"
        broken = container.status in {"restarting", "paused"} or container.health == "unhealthy"
        return "failed" if broken or self.history.of(container).was_ready else "starting"

    def _counts(self, one: Container, now: float) -> bool:
        if one.in_replacement or one.status in {"removing", "dead"}:
            return False
        if self.external_stops.is_confirmed(one, now):
            return False
        if one.status == "exited":
            # It exited on request. A copy is then removed; another container is left to its owner.
            return not (
                self.external_stops.is_stopping(one) or (one.stopped_cleanly and not one.is_clone)
            )
        young = now - self.history.of(one).first_seen < CREATED_SECONDS
        return one.is_active or one.is_clone or young

    def _replica(self, one: Container, template: Container, now: float) -> ManagedReplica:
        health = self.history.of(one)
        not_ready = 0.0 if health.not_ready_since is None else now - health.not_ready_since
        limit = CREATED_SECONDS if one.status == "created" else self.settings.start_seconds
        suspended = one.status in {"exited", "paused", "restarting"}
        return ManagedReplica(
            id=one.id,
            number=one.number,
            phase=self.phase(one),
            started_at=one.started_at,
            stale=one.is_clone and one.definition != template.definition,
            overdue=one.stopped_cleanly or (not_ready >= limit and not suspended),
            restartable=one.status == "exited" and now >= health.restart_at,
        )
