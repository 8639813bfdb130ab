"""An asyncio event loop whose clock is simulated, and processes that can be stopped and killed in it.

The clock moves only when nothing is ready, to what is due next. Of what is due at one time the seed decides
the order; what asyncio itself promises (first in, first out of `call_soon`) stays, so each order is one that
a real loop can have.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

PROCESS: Final[contextvars.ContextVar[OsProcess | None]] = contextvars.ContextVar(
    "process", default=None
)
# Seeds take up to 600 a second.
MOST_STEPS_PER_SECOND: Final = 3_000


class BusyLoopError(BaseException):
    """Something runs again and again without a wait. Not an Exception: production code must not catch it."""


@dataclass(eq=False)
class OsProcess:
    """A process: what runs in its context waits while it is stopped, and ends when it is killed.

    A killed one may run `finally` blocks, which a real one does not; each call to the world ends in them.
    """

    name: str
    pid: int
    dead: bool = False
    stopped: bool = False
    parked: deque[asyncio.Handle] = field(default_factory=deque)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def context(self) -> contextvars.Context:
        """The context of its callbacks."""
        context = contextvars.Context()
        context.run(PROCESS.set, self)
        return context

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in it."""
        return asyncio.get_running_loop().create_task(coroutine, context=self.context)

    def kill(self) -> None:
        """End it at once."""
        self.dead = True
        self.resume()
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()

    def stop(self) -> None:
        """As SIGSTOP."""
        self.stopped = True

    def resume(self) -> None:
        """As SIGCONT: what became due meanwhile runs now, in that order."""
        self.stopped = False
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimulatedLoop):
            loop.put_back(self.parked)


def check_alive() -> None:
    """Each call to the world begins so: one of a killed process has no effect."""
    process = PROCESS.get()
    if process is not None and process.dead:
        raise asyncio.CancelledError


class SimulatedLoop(asyncio.BaseEventLoop):
    """The loop; `after_step` is called whenever something has run."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, order: Random, after_step: Callable[[], None]) -> None:
        super().__init__()
        self.now = 0.0
        self._order, self._after_step = order, after_step
        self._second = self._steps = 0
        self.most_steps: float = MOST_STEPS_PER_SECOND
        self.set_task_factory(_make_task)

    def time(self) -> float:
        """Seconds since the world began."""
        return self.now

    def put_back(self, handles: deque[asyncio.Handle]) -> None:
        """Run these now."""
        self._ready.extend(handles)
        handles.clear()

    def run_in_executor(  # type: ignore[override]  # typeshed has a generic function
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the function at a later time, as a thread would."""
        del executor
        future = self.create_future()

        def run() -> None:
            if future.done():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:  # noqa: BLE001 - as a thread hands it on
                future.set_exception(error)

        self.call_later(self._order.uniform(0.0005, 0.005), run)
        return future

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> Any:
        """Each name is one address."""
        del host
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]

    def _write_to_self(self) -> None:
        """There is no other thread to wake this one."""

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready and not scheduled:
            raise BusyLoopError("nothing will ever run again")
        if not ready:
            self.now = max(self.now, scheduled[0].when())
        due = []
        while scheduled and scheduled[0].when() <= self.now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]  # as BaseEventLoop does
            due.append(handle)
        if len(due) > 1:
            self._order.shuffle(due)
        ready.extend(due)
        self._count(len(ready))
        for _ in range(len(ready)):
            _run(ready.popleft())
        self._after_step()

    def _count(self, steps: int) -> None:
        if int(self.now) != self._second:
            self._second, self._steps = int(self.now), 0
        self._steps += steps
        if self._steps > self.most_steps:
            raise BusyLoopError(f"over {self.most_steps} steps in second {self._second}")


def _run(handle: asyncio.Handle) -> None:
    if handle.cancelled():
        return
    process = handle._context.get(PROCESS)  # type: ignore[attr-defined]  # the only record of who runs it
    if process is not None and process.stopped:
        process.parked.append(handle)
    else:
        handle._run()


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Any, context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, context=context)
    process = PROCESS.get() if context is None else context.get(PROCESS)
    if process is not None:
        if len(process.tasks) > 64:
            process.tasks = [one for one in process.tasks if not one.done()]
        process.tasks.append(task)
    return task
