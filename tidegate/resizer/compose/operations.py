"""The three things that are done to replicas: one is made, one is started again, one is let go."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, EngineError, EngineGoneError
from tidegate.resizer.compose.observer import Place
from tidegate.resizer.compose.template import copy_of
from tidegate.runtime.event_log import EventLog

# Somebody else was faster: a name is taken, a container is gone or going. The next look tells.
OVERTAKEN = frozenset({404, 409})


@dataclass(frozen=True, slots=True)
class Workshop:
    """Works on the containers of one service.

    Attributes:
        stop_seconds: how long a replica may take to finish its requests.
    """

    engine: Engine
    place: Place
    event_log: EventLog
    stop_seconds: float

    async def make(self, template: Container, number: int) -> None:
        """Make and start one more replica like the template.

        Raises:
            EngineError: the engine refused; nothing is left of the attempt.
            EngineGoneError: the engine cannot be reached.
        """
        image = await self.engine.image_id(template.inspected["Config"]["Image"])
        copy = copy_of(template, self.place.project, self.place.service, number, image)
        made = await self.engine.create(copy.name, copy.body)
        try:
            for network, endpoint in copy.further_networks:
                await self.engine.connect(network, made, endpoint)
            await self.engine.start(made)
        except (EngineError, EngineGoneError):
            with suppress(EngineError, EngineGoneError):
                await self.engine.remove(made)
            raise
        self.event_log.record(
            "make",
            f"{copy.name} is made, as a copy of {template.name}",
            fields=_fields(replica=copy.name, template=template.name),
        )

    async def revive(self, container: Container) -> None:
        """Start a replica that has ended although nobody asked it to.

        Raises:
            EngineError: the engine refused.
            EngineGoneError: the engine cannot be reached.
        """
        await self.engine.start(container.id)
        self.event_log.record(
            "revive",
            f"{container.name} had ended with exit code {container.exit_code} and is started again",
            level="warn",
            fields=_fields(replica=container.name, exit_code=container.exit_code),
        )

    async def let_go(self, container: Container) -> bool:
        """Let a replica finish its requests and end, then remove it.

        Returns:
            Whether it is gone. What failed has been told; whatever is left is there at the next look.
        """
        fields = _fields(replica=container.name)
        self.event_log.record("drain", f"{container.name} finishes its requests", fields=fields)
        try:
            await self.engine.stop(container.id, self.stop_seconds)
            await self.engine.remove(container.id)
        except (EngineError, EngineGoneError) as error:
            if not (isinstance(error, EngineError) and error.status in OVERTAKEN):
                self.event_log.record(
                    "drain", f"{container.name}: {error}", level="warn", fields=fields
                )
                return False
        self.event_log.record("gone", f"{container.name} is gone", fields=fields)
        return True


def _fields(**own: Any) -> dict[str, Any]:
    return {"tidegate": {"resizer": own}}
