"""The history of each replica: since when it has been ready or not ready, and when to restart it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.runtime.backoff import Backoff

# A client that kills a container may be about to remove it; Compose does so within milliseconds.
RESTART_DELAY_SECONDS: Final = 1.0


@dataclass(slots=True)
class ReplicaHealth:
    """The health of one container. Times are seconds on a monotonic clock, except `ready_at`.

    Attributes:
        first_seen: when it was first seen.
        started_at: the container's `started_at`, which changes at each restart.
        ready_at: when it became ready, in seconds since 1970; None if it never did since it was started, or
            was ready already when first seen and the engine knows no more since when.
        not_ready_since: since when it has not been ready; None while it is ready.
        finished_at: the container's `finished_at`, once it has exited.
        restart_at: when to start it again.
    """

    first_seen: float
    started_at: float
    not_ready_since: float | None
    ready_at: float | None = None
    was_ready: bool = False
    finished_at: float = 0.0
    restart_at: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(slots=True)
class ReplicaHistory:
    """Remembers the health of every container that exists."""

    _replicas: dict[str, ReplicaHealth] = field(default_factory=dict, init=False)
    _first: bool = field(default=True, init=False)

    def update(
        self, containers: Collection[Container], ready: Collection[str], *, at: float, now: float
    ) -> None:
        """Record the present state of all containers, and which are ready.

        `at` is in seconds since 1970, `now` on a monotonic clock.
        """
        present = {one.id for one in containers}
        self._replicas = {key: health for key, health in self._replicas.items() if key in present}
        for one in containers:
            health = self._replicas.setdefault(one.id, ReplicaHealth(now, one.started_at, now))
            if health.started_at != one.started_at:
                health.started_at, health.ready_at = one.started_at, None
                health.not_ready_since, health.was_ready = now, False
            if one.id not in ready:
                if health.not_ready_since is None:
                    health.not_ready_since = now
            else:
                if not health.was_ready:
                    # A check that has not passed yet is passed soon.
                    soon = one.health == "starting"
                    health.ready_at = at if soon or not self._first else one.healthy_at
                health.not_ready_since, health.was_ready = None, True
            if one.status == "exited" and health.finished_at != one.finished_at:
                health.finished_at = one.finished_at
                delay = health.backoff.failed(one.finished_at - one.started_at)
                health.restart_at = now + max(RESTART_DELAY_SECONDS, delay)
        self._first = False

    def of(self, container: Container) -> ReplicaHealth:
        """The health of a container that existed at the last update."""
        return self._replicas[container.id]
