"""Tracks which replicas are being stopped by another program, from the engine's events.

After a `docker compose stop` the container is exited, as after a crash. The engine's events distinguish
them: a stop begins with a `kill` event of a stop signal and ends with a `stop` event.
"""

from __future__ import annotations

from collections.abc import Container as ContainerOf
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Json

# SIGINT, SIGQUIT, SIGTERM: the usual values of a Dockerfile's STOPSIGNAL. SIGKILL is not a request to stop.
STOP_SIGNALS: Final = frozenset({"2", "3", "15"})
# Compose stops the containers of a service at once, but the engine reports them one after the other.
GROUP_STOP_SECONDS: Final = 1.0
# After removing replicas, Compose looks for containers to start. The engine lists a container a moment
# before it can be inspected, so one created just then makes Compose fail (4 of 40 times, engine 20.10).
SETTLE_SECONDS: Final = 1.0


@dataclass(slots=True)
class ExternalStopTracker:
    """Remembers the containers that something other than this resizer asked to stop.

    Attributes:
        stop_timeout_seconds: a container that still runs after this time is not considered stopping any more.
    """

    stop_timeout_seconds: float
    _requested: dict[str, float] = field(default_factory=dict, init=False)
    _last_was_requested: bool | None = field(default=None, init=False)
    _last_exit_at: float | None = field(default=None, init=False)

    def record_event(self, event: Json, draining: ContainerOf[str], now: float) -> None:
        """Record an event of the engine; `draining` are the containers that this resizer is stopping."""
        actor = event.get("Actor") or {}
        container, action = str(actor.get("ID", "")), event.get("Action")
        signal = (actor.get("Attributes") or {}).get("signal")
        if action in {"die", "stop", "destroy"} and container not in draining:
            self._last_exit_at = now
        if action == "start":
            self._requested.pop(container, None)
        elif container in draining or container in self._requested:
            return
        elif action == "stop" or (action == "kill" and signal in STOP_SIGNALS):
            self._requested[container] = now
            self._last_was_requested = True
        elif action == "die":
            self._last_was_requested = False

    def is_stopping(self, container: Container) -> bool:
        """Whether another program stopped the container or is stopping it."""
        return container.id in self._requested

    def is_confirmed(self, container: Container, now: float) -> bool:
        """Whether the container is stopping and the stops requested together with it are known too."""
        requested = self._requested.get(container.id)
        return requested is not None and now - requested >= GROUP_STOP_SECONDS

    def recent_external_exit(self, now: float) -> bool:
        """Whether a container that this resizer did not stop has exited within `SETTLE_SECONDS`."""
        return self._last_exit_at is not None and now - self._last_exit_at < SETTLE_SECONDS

    def whole_service_stopped(self, containers: Iterable[Container], now: float) -> bool:
        """Whether the whole service was stopped: no container is left, and the last was asked to stop.

        Without an event, the exit codes decide. Call it after each refresh with all containers that this
        resizer is not stopping itself.
        """
        present = {one.id: one for one in containers}
        if not any(one.is_active and not self.is_stopping(one) for one in present.values()):
            if self._last_was_requested is None:
                return any(one.stopped_cleanly for one in present.values())
            return self._last_was_requested
        self._last_was_requested = None
        self._requested = {
            container: requested
            for container, requested in self._requested.items()
            if container in present
            and not (present[container].is_active and now - requested > self.stop_timeout_seconds)
        }
        return False
