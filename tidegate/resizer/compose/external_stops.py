"""Which replicas other hands than ours are stopping, told by the engine's events.

A person's `docker compose stop` looks like a crash to whoever sees only that a container is gone. The
engine's events tell them apart: a stop begins with the kill of a signal that asks, and ends with `stop`.
"""

from __future__ import annotations

from collections.abc import Container as ContainerOf
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Json

# SIGINT, SIGQUIT, SIGTERM: what a Dockerfile's STOPSIGNAL usually is. SIGKILL asks nothing.
ASKING_SIGNALS: Final = frozenset({"2", "3", "15"})
# Compose stops the containers of a service at once, but the engine tells one after the other.
ALL_SEEN_SECONDS: Final = 1.0
# Having removed replicas, Compose looks for what is left to be started. The engine lists a container a moment
# before it can be found, so one that is made just then makes Compose fail (4 of 40 times, engine 20.10).
SETTLED_SECONDS: Final = 1.0


@dataclass(slots=True)
class OtherHands:
    """Remembers the replicas that others asked to stop.

    Attributes:
        patience_seconds: a container that runs so long after it was asked did not mean to stop.
    """

    patience_seconds: float
    _asked: dict[str, float] = field(default_factory=dict, init=False)
    _last_was_asked: bool | None = field(default=None, init=False)
    _ended_at: float | None = field(default=None, init=False)

    def see(self, event: Json, ours: ContainerOf[str], now: float) -> None:
        """Take note of an event.

        Args:
            event: one of the engine's.
            ours: the ids of the containers that we are stopping.
            now: seconds on a clock that does not jump.
        """
        actor = event.get("Actor") or {}
        container, action = str(actor.get("ID", "")), event.get("Action")
        signal = (actor.get("Attributes") or {}).get("signal")
        if action in {"die", "stop", "destroy"} and container not in ours:
            self._ended_at = now
        if action == "start":
            self._asked.pop(container, None)
        elif container in ours or container in self._asked:
            return
        elif action == "stop" or (action == "kill" and signal in ASKING_SIGNALS):
            self._asked[container] = now
            self._last_was_asked = True
        elif action == "die":
            self._last_was_asked = False

    def stops(self, container: Container) -> bool:
        """Whether it was stopped by others, or is being stopped."""
        return container.id in self._asked

    def leaves(self, container: Container, now: float) -> bool:
        """Whether it was, and by now every other container that goes with it is known too."""
        asked = self._asked.get(container.id)
        return asked is not None and now - asked >= ALL_SEEN_SECONDS

    def just_ended_one(self, now: float) -> bool:
        """Whether one has ended, but not by us, so lately that others may be looking for what is left."""
        return self._ended_at is not None and now - self._ended_at < SETTLED_SECONDS

    def want_none(self, containers: Iterable[Container], now: float) -> bool:
        """Whether somebody has stopped the whole service: none is left, and the last was asked to go.

        Without an event that tells, the exit codes do. To be asked after each look, with all containers
        that we are not stopping ourselves.
        """
        present = {one.id: one for one in containers}
        if not any(one.runs and not self.stops(one) for one in present.values()):
            if self._last_was_asked is None:
                return any(one.ended_when_asked for one in present.values())
            return self._last_was_asked
        self._last_was_asked = None
        self._asked = {
            container: asked
            for container, asked in self._asked.items()
            if container in present
            and not (present[container].runs and now - asked > self.patience_seconds)
        }
        return False
