"""How each replica fared: since when it is ready, or is not, and when to start it again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.runtime.backoff import Backoff

# Whoever kills a container may be about to remove it, and Compose does so within milliseconds.
REVIVE_SECONDS: Final = 1.0


@dataclass(slots=True)
class Life:
    """One container's. Times are seconds on a clock that does not jump, but for `ready_at`.

    Attributes:
        seen: when it was first seen.
        run: its `started_at`, which changes when it is started again.
        ready_at: since when it is ready, in seconds since 1970; None if it never was in this run, or
            already was when first seen, so that nobody knows.
        unready_since: since when it is not ready; None while it is.
        ended: its `finished_at`, once it was found to have ended.
        revive_at: when to start it again.
    """

    seen: float
    run: float
    unready_since: float | None
    ready_at: float | None = None
    was_ready: bool = False
    ended: float = 0.0
    revive_at: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(slots=True)
class Chronicle:
    """Remembers every container that is there."""

    _lives: dict[str, Life] = field(default_factory=dict, init=False)
    _first: bool = field(default=True, init=False)

    def update(
        self, containers: Collection[Container], ready: Collection[str], *, at: float, now: float
    ) -> None:
        """Take note of a look at all containers.

        Args:
            containers: all that there are.
            ready: the ids of those that are ready.
            at: seconds since 1970.
            now: seconds on a clock that does not jump.
        """
        present = {one.id for one in containers}
        self._lives = {key: life for key, life in self._lives.items() if key in present}
        for one in containers:
            life = self._lives.setdefault(one.id, Life(now, one.started_at, now))
            if life.run != one.started_at:
                life.run, life.ready_at, life.unready_since = one.started_at, None, now
                life.was_ready = False
            if one.id not in ready:
                life.unready_since = now if life.unready_since is None else life.unready_since
            else:
                if not (life.was_ready or self._first):
                    life.ready_at = at
                life.unready_since, life.was_ready = None, True
            if one.status == "exited" and life.ended != one.finished_at:
                life.ended = one.finished_at
                delay = life.backoff.failed(one.finished_at - one.started_at)
                life.revive_at = now + max(REVIVE_SECONDS, delay)
        self._first = False

    def of(self, container: Container) -> Life:
        """The life of a container that was there at the last update."""
        return self._lives[container.id]
