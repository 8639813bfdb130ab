"""What is under way: replicas that are being started, and replicas that drain, each in a task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.engine import EngineError, EngineGoneError
from tidegate.resizer.compose.operations import OVERTAKEN, Workshop
from tidegate.runtime.backoff import Backoff
from tidegate.runtime.event_log import EventLog

# An engine that could not stop or remove a container is not asked again at once.
RETRY_SECONDS: Final = 5.0


@dataclass(slots=True)
class Works:
    """Keeps the workshop busy without waiting for it.

    Attributes:
        changed: set whenever something ended.
        clock: seconds since 1970.
        monotonic: seconds on a clock that does not jump.
    """

    workshop: Workshop
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _starts: dict[int, tuple[asyncio.Task[None], float]] = field(default_factory=dict, init=False)
    _drains: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _refusals: Backoff = field(default_factory=Backoff, init=False)
    _start_at: float = field(default=0.0, init=False)

    @property
    def event_log(self) -> EventLog:
        """The event log."""
        return self.workshop.event_log

    @property
    def starting(self) -> Mapping[int, float]:
        """The numbers that are being started, each since when, in seconds since 1970."""
        return {number: at for number, (_, at) in self._starts.items()}

    @property
    def draining(self) -> Set[str]:
        """The ids of the containers that are being let go."""
        return self._drains.keys()

    def make(self, template: Container, number: int) -> None:
        """Begin to make one more replica, unless the engine has just refused."""
        self._begin(number, lambda: self.workshop.make(template, number))

    def revive(self, container: Container) -> None:
        """Begin to start a replica again, unless the engine has just refused."""
        self._begin(container.number, lambda: self.workshop.revive(container))

    def let_go(self, container: Container) -> None:
        """Begin to let a replica go."""
        self._drains[container.id] = asyncio.create_task(self._drain(container))

    def abandon(self) -> None:
        """Wait for nothing any more; the engine goes on stopping those that drain."""
        for task in [*(task for task, _ in self._starts.values()), *self._drains.values()]:
            task.cancel()

    def _begin(self, number: int, work: Callable[[], Coroutine[None, None, None]]) -> None:
        if self.monotonic() >= self._start_at:
            task = asyncio.create_task(self._start(number, work()))
            self._starts[number] = (task, self.clock())

    async def _start(self, number: int, work: Coroutine[None, None, None]) -> None:
        try:
            await work
            self._refusals.succeeded()
            self.event_log.resolved("refused", "the engine starts replicas again")
        except (EngineError, EngineGoneError) as error:
            if not (isinstance(error, EngineError) and error.status in OVERTAKEN):
                name = self.workshop.place.name(number)
                self.event_log.condition("refused", f"{name}: {error}", level="error")
            # The engine may refuse for long (no memory, no image).
            self._start_at = self.monotonic() + self._refusals.failed()
        finally:
            del self._starts[number]
            self.changed.set()

    async def _drain(self, container: Container) -> None:
        try:
            if not await self.workshop.let_go(container):
                await asyncio.sleep(RETRY_SECONDS)
        finally:
            del self._drains[container.id]
            self.changed.set()
