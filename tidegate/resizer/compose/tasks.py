"""The operations in progress: replicas that are being started or drained, each in a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import EngineError, EngineUnavailableError
from tidegate.resizer.compose.operations import CONFLICT_STATUSES, ContainerOperations
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog

# How long to wait after the engine failed to stop or remove a container.
RETRY_SECONDS: Final = 5.0


@dataclass(slots=True)
class TaskTracker:
    """Runs operations in the background and tracks them.

    Attributes:
        changed: set whenever a task ended.
        clock: seconds since 1970.
        monotonic: seconds on a monotonic clock.
    """

    operations: ContainerOperations
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _starts: dict[int, tuple[asyncio.Task[None], float]] = field(default_factory=dict, init=False)
    _drains: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _start_backoff: Backoff = field(default_factory=Backoff, init=False)
    _start_at: float = field(default=0.0, init=False)

    @property
    def event_log(self) -> EventLog:
        """The event log."""
        return self.operations.event_log

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
        self._begin(number, lambda: self.operations.create(template, number))

    def restart(self, container: Container) -> None:
        """Begin to restart a replica, unless the engine has just refused a start."""
        self._begin(container.number, lambda: self.operations.restart(container))

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
                name = self.operations.service.replica_name(number)
                self.event_log.condition("refused", f"{name}: {error}", level="error")
            # The cause may last: no memory, no image.
            self._start_at = self.monotonic() + self._start_backoff.failed()
        except Exception as error:  # noqa: BLE001 - nobody awaits the task
            wait = self._start_backoff.failed()
            self._start_at = self.monotonic() + wait
            self.event_log.fault(self.operations.service.replica_name(number), error, wait)

    async def _drain(self, container: Container) -> None:
        try:
            if not await self.operations.drain(container):
                await asyncio.sleep(RETRY_SECONDS)
        except Exception as error:  # noqa: BLE001 - nobody awaits the task
            self.event_log.fault(container.name, error, RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)
