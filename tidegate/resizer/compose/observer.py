"""One look at the service: its containers, and how each of them fares."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container, read_container
from tidegate.resizer.compose.engine import Engine
from tidegate.resizer.compose.external_stops import OtherHands
from tidegate.resizer.compose.history import Chronicle
from tidegate.resizer.compose.plan import Member, Phase
from tidegate.resizer.compose.replica_probe import Neighbours
from tidegate.settings import Replicas

# Whoever makes a container starts it within this time, or has died over it.
CREATED_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """The service whose replicas are set."""

    project: str
    service: str

    def name(self, number: int) -> str:
        """What Compose would call its replica of this number."""
        return f"{self.project}-{self.service}-{number}"


@dataclass(slots=True)
class Observer:
    """Looks at the service.

    Attributes:
        clock: seconds since 1970.
        monotonic: seconds on a clock that does not jump.
    """

    engine: Engine
    place: Place
    neighbours: Neighbours
    hands: OtherHands
    settings: Replicas
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    containers: Sequence[Container] = field(default=(), init=False)
    chronicle: Chronicle = field(default_factory=Chronicle, init=False)
    _ready: Collection[str] = field(default=(), init=False)

    async def look(self, but: Collection[int] = ()) -> None:
        """See what there is now.

        Args:
            but: numbers of containers not to look at, as they are being started.

        Raises:
            EngineError: the engine refused to say.
            EngineGoneError: the engine cannot be reached.
        """
        found = await self.engine.replicas(self.place.project, self.place.service, but)
        containers = sorted(map(read_container, found), key=lambda one: (one.number, one.id))
        self._ready = await self.neighbours.ready(containers)
        self.chronicle.update(containers, self._ready, at=self.clock(), now=self.monotonic())
        self.containers = containers

    def compose_is_at_work(self) -> bool:
        """Whether Compose is replacing a container, and has not died over it."""
        # It drains the old one meanwhile, for as long as that takes.
        patience = self.settings.drain_seconds + 2 * CREATED_SECONDS
        now = self.monotonic()
        return any(
            one.in_replacement and now - self.chronicle.of(one).seen < patience
            for one in self.containers
        )

    def members(self, ours: Collection[str], template: Container) -> list[Member]:
        """The replicas that count.

        Args:
            ours: the ids of those that we are stopping.
            template: what a current replica is a copy of.
        """
        now = self.monotonic()
        return [
            self._member(one, template, now)
            for one in self.containers
            if one.id not in ours and self._counts(one, now)
        ]

    def phase(self, container: Container) -> Phase:
        """How a container fares."""
        if container.status == "exited":
            return "down"
        if container.id in self._ready:
            return "ready"
        broken = container.status in {"restarting", "paused"} or container.health == "unhealthy"
        return "failed" if broken or self.chronicle.of(container).was_ready else "starting"

    def _counts(self, one: Container, now: float) -> bool:
        if one.in_replacement or one.status in {"removing", "dead"} or self.hands.leaves(one, now):
            return False
        if one.status == "exited":
            # Asked to end, it ended. A copy of ours is removed then; another's is left to its owner.
            return not (self.hands.stops(one) or (one.ended_when_asked and not one.cloned))
        young = now - self.chronicle.of(one).seen < CREATED_SECONDS
        return one.runs or one.cloned or young

    def _member(self, one: Container, template: Container, now: float) -> Member:
        life = self.chronicle.of(one)
        unready = 0.0 if life.unready_since is None else now - life.unready_since
        limit = CREATED_SECONDS if one.status == "created" else self.settings.start_seconds
        asleep = one.status in {"exited", "paused", "restarting"}
        return Member(
            id=one.id,
            number=one.number,
            phase=self.phase(one),
            started_at=one.started_at,
            stale=one.cloned and one.edition != template.edition,
            overdue=one.ended_when_asked or (unready >= limit and not asleep),
            revivable=one.status == "exited" and now >= life.revive_at,
        )
