"""The three operations on replicas: create, restart, drain."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, EngineError, EngineUnavailableError
from tidegate.resizer.compose.observer import ComposeService
from tidegate.resizer.compose.template import replica_spec
from tidegate.runtime.event_log import EventLog

# Another client was faster: the name is taken, or the container is removed. The next refresh shows it.
CONFLICT_STATUSES = frozenset({404, 409})


@dataclass(frozen=True, slots=True)
class ContainerOperations:
    """Operations on the containers of one service.

    Attributes:
        stop_seconds: how long a replica may take to finish its requests.
    """

    engine: Engine
    service: ComposeService
    event_log: EventLog
    stop_seconds: float

    async def create(self, template: Container, number: int) -> None:
        """Create and start one more replica like the template.

        Raises:
            EngineError: the engine refused; the container has been removed again.
            EngineUnavailableError: the engine cannot be reached.
        """
        image = await self.engine.image_id(template.inspected["Config"]["Image"])
        spec = replica_spec(template, self.service.project, self.service.name, number, image)
        created = await self.engine.create(spec.name, spec.body)
        try:
            for network, endpoint in spec.other_networks:
                await self.engine.connect(network, created, endpoint)
            await self.engine.start(created)
        except (EngineError, EngineUnavailableError):
            with suppress(EngineError, EngineUnavailableError):
                await self.engine.remove(created)
            raise
        self.event_log.record(
            "make",
            f"created {spec.name} as a copy of {template.name}",
            fields=_fields(replica=spec.name, template=template.name),
        )

    async def restart(self, container: Container) -> None:
        """Start a replica that has exited without a request to stop.

        Raises:
            EngineError: the engine refused.
            EngineUnavailableError: the engine cannot be reached.
        """
        await self.engine.start(container.id)
        self.event_log.record(
            "revive",
            f"restarted {container.name}, which had exited with code {container.exit_code}",
            level="warn",
            fields=_fields(replica=container.name, exit_code=container.exit_code),
        )

    async def drain(self, container: Container) -> bool:
        """Stop a replica after it has finished its requests, then remove it.

        Returns:
            Whether it is removed. An error has been logged; a container that remains is seen at the next
            refresh.
        """
        fields = _fields(replica=container.name)
        self.event_log.record(
            "drain", f"draining {container.name}: it finishes its requests", fields=fields
        )
        try:
            await self.engine.stop(container.id, self.stop_seconds)
            await self.engine.remove(container.id)
        except (EngineError, EngineUnavailableError) as error:
            if not (isinstance(error, EngineError) and error.status in CONFLICT_STATUSES):
                self.event_log.record(
                    "drain", f"{container.name}: {error}", level="warn", fields=fields
                )
                return False
        self.event_log.record("gone", f"removed {container.name}", fields=fields)
        return True


def _fields(**own: Any) -> dict[str, Any]:
    return {"tidegate": {"resizer": own}}
