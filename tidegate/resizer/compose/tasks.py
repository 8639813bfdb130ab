"""What is done with replicas: each is created, restarted or drained in a task of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import Engine, EngineError, EngineUnavailableError
from tidegate.resizer.compose.observer import ComposeService
from tidegate.resizer.compose.template import replica_spec
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog

# How long to wait after the engine failed to stop or remove a container.
RETRY_SECONDS: Final = 5.0
# Another client was faster: the name is taken, or the container is removed. The next refresh shows it.
CONFLICT_STATUSES: Final = frozenset({404, 409})


@dataclass(slots=True)
class TaskTracker:
    """Runs operations in the background and tracks them; `changed` is set whenever one ended.

    A replica has `stop_seconds` to finish its requests. `clock` is in seconds since 1970, `monotonic` on a
    monotonic clock.
    """

    engine: Engine
    service: ComposeService
    event_log: EventLog
    stop_seconds: float
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _starts: dict[int, tuple[asyncio.Task[None], float]] = field(default_factory=dict, init=False)
    _drains: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _start_backoff: Backoff = field(default_factory=Backoff, init=False)
    _start_at: float = field(default=0.0, init=False)

    @property
    def starting(self) -> Mapping[int, float]:
        """The numbers of the replicas that are being started, with the time in seconds since 1970."""
        return {number: at for number, (_, at) in self._starts.items()}

    @property
    def draining(self) -> Set[str]:
        """The ids of the containers that are being drained."""
        return self._drains.keys()

    def create(self, template: Container, number: int) -> None:
        """Begin to create one more replica, unless the engine has just refused a start."""
        self._begin(number, lambda: self._create(template, number))

    def restart(self, container: Container) -> None:
        """Begin to restart a replica, unless the engine has just refused a start."""
        self._begin(container.number, lambda: self._restart(container))

    def drain(self, container: Container) -> None:
        """Begin to drain a replica."""
        task = asyncio.create_task(self._drain(container))
        self._drains[container.id] = task
        task.add_done_callback(lambda _: self._ended(self._drains, container.id))

    def cancel(self) -> None:
        """Cancel all tasks; the engine goes on stopping the containers that drain."""
        for task in [*(task for task, _ in self._starts.values()), *self._drains.values()]:
            task.cancel()

    def _begin(self, number: int, start: Callable[[], Coroutine[None, None, None]]) -> None:
        if self.monotonic() >= self._start_at:
            task = asyncio.create_task(self._start(number, start))
            self._starts[number] = (task, self.clock())
            task.add_done_callback(lambda _: self._ended(self._starts, number))

    def _ended(self, tasks: dict[Any, Any], key: int | str) -> None:
        # In a callback of the task, as one that is cancelled before its first step runs no `finally`.
        del tasks[key]
        self.changed.set()

    async def _start(self, number: int, start: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await start()
            self._start_backoff.succeeded()
            self.event_log.resolved("refused", "the engine starts replicas again")
        except (EngineError, EngineUnavailableError) as error:
            if not (isinstance(error, EngineError) and error.status in CONFLICT_STATUSES):
                name = self.service.replica_name(number)
                self.event_log.condition("refused", f"{name}: {error}", level="error")
            # The cause may last: no memory, no image.
            self._start_at = self.monotonic() + self._start_backoff.failed()
        except Exception as error:  # noqa: BLE001 - nobody awaits the task
            wait = self._start_backoff.failed()
            self._start_at = self.monotonic() + wait
            self.event_log.fault(self.service.replica_name(number), error, wait)

    async def _drain(self, container: Container) -> None:
        try:
            if not await self._remove(container):
                await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - nobody awaits the task
            self.event_log.fault(container.name, error, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)

    async def _create(self, template: Container, number: int) -> None:
        """Create and start one more replica like the template; after an error there is none."""
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

    async def _restart(self, container: Container) -> None:
        """Start a replica that has exited without a request to stop."""
        await self.engine.start(container.id)
        self.event_log.record(
            "revive",
            f"restarted {container.name}, which had exited with code {container.exit_code}",
            level="warn",
            fields=_fields(replica=container.name, exit_code=container.exit_code),
        )

    async def _remove(self, container: Container) -> bool:
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
