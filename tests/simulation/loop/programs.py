"""The programs that run in the world: replicas, the gateway, and what else may listen at their ports."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tidegate.runtime.http_probe import PROBE_SECONDS
from tidegate.stack.processes.process import Child, Command

from .event_loop import PROCESS, check_alive
from .gateway import Request, Server
from .world import World, world

FIRST_PORT: Final = 18001
GATEWAY_PORT: Final = 8405
AUTOSCALER_PORT: Final = 9102
# How long a replica accepts connections after SIGTERM (docs/explanation/replicas.md).
ACCEPTS_SECONDS: Final = 1.2


class Running:
    """A program that was started. It ends by `exit`; `on_exit` gets the code."""

    ready = False
    # Whether its end by a signal would be the production code's choice.
    spared = True

    def __init__(self, this: World, name: str, port: int, on_exit: Callable[[int], None]) -> None:
        self.world, self.port, self.on_exit = this, port, on_exit
        self.process, self.started_at = this.process(name), this.now
        self.on_ready: Callable[[], None] = lambda: None

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Do this in its process."""

        def unless_dead() -> None:
            if not self.process.dead:
                act()

        self.world.loop.call_later(seconds, unless_dead, context=self.process.context)

    def listen(self) -> bool:
        """Listen at its port; not if another program does."""
        if self.world.listeners.setdefault(self.port, self) is self:
            return True
        self.exit(1)
        return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; a stopped process gets any but SIGKILL later."""
        if number == signal.SIGKILL:
            self.exit(-signal.SIGKILL)
        else:
            self.after(0.0, self.terminate)

    def terminate(self) -> None:
        """What it does on SIGTERM."""
        self.exit(0)

    def exit(self, code: int) -> None:
        """End it."""
        if self.process.dead:
            return
        self.world.say(f"{self.process.name} (process {self.process.pid}) ends with {code}")
        for check in self.world.on_end:
            check(self)
        self.process.kill()
        if self.world.listeners.get(self.port) is self:
            del self.world.listeners[self.port]
        self.ended()
        self.on_exit(code)

    def ended(self) -> None:
        """What its end takes with it."""


class GatewayProgram(Running):
    """HAProxy's process."""

    def __init__(self, this: World, on_exit: Callable[[int], None]) -> None:
        super().__init__(this, "gateway", GATEWAY_PORT, on_exit)
        self.after(0.05, self._begin)

    def _begin(self) -> None:
        if self.listen():
            self.world.gateway.begin(self.process, self.world.setup.max + 1)
            self.ready = True

    def ended(self) -> None:
        """Its requests are lost."""
        if self.world.gateway.process is self.process:
            self.world.gateway.end()


class Replica(Running):
    """A replica at an index, of a version of the model or the code."""

    foreign = False

    def __init__(
        self, this: World, index: int, version: int, on_exit: Callable[[int], None], *, bad: bool
    ) -> None:
        super().__init__(this, f"replica {index}", FIRST_PORT + index - 1, on_exit)
        self.index, self.version = index, version
        self.requests: list[tuple[Server, Request]] = []
        self.was_ready = self.draining = False
        start = this.kind("start")
        startup = this.setup.startup_seconds * this.random.uniform(0.8, 1.2)
        startup *= 6 if start == "slow" else 1
        if start != "deaf":
            self.after(this.random.uniform(0.15, 0.3), self._listen)
        if start == "exit" or bad:
            self.after(startup, lambda: self.exit(1))
        elif start not in {"never", "deaf"}:
            self.after(startup + 0.3, self._become_ready)

    def _listen(self) -> None:
        self.listen()

    def _become_ready(self) -> None:
        if not self.draining:
            self.ready = self.was_ready = True
            self.on_ready()

    @property
    def is_unready(self) -> bool:
        """Whether a fault lets it answer that it cannot serve."""
        return (
            self.world.kind("replica") == "unready" and self.world.number("replica") == self.index
        )

    def passes_check(self, *, was_up: bool) -> bool:
        """The gateway's check; one without an answer for less than its timeout changes nothing."""
        if self.process.stopped:
            return was_up and self.world.random.random() < 0.75
        return self.ready and not self.is_unready

    def accepts(self, request: Request, server: Server) -> bool:
        """Take a request from the gateway; False if it is to be sent to another one."""
        if not (self.was_ready or self.process.stopped):
            return False
        self.requests.append((server, request))
        seconds = self.world.setup.service_seconds * self.world.random.uniform(0.5, 1.5)
        self.after(seconds, lambda: self._finish(server, request))
        return True

    def _finish(self, server: Server, request: Request) -> None:
        self.requests.remove((server, request))
        self.world.gateway.answer(server, request)
        self._end_if_drained()

    def terminate(self) -> None:
        """Drain, if it is a program that does."""
        if self.draining:
            return
        self.draining, self.ready = True, False
        if not self.world.setup.answers_first:
            self.exit(0)
            return
        self.after(ACCEPTS_SECONDS, self._close)

    def _close(self) -> None:
        if self.world.listeners.get(self.port) is self:
            del self.world.listeners[self.port]
        self._closed = True
        self._end_if_drained()

    _closed = False

    def _end_if_drained(self) -> None:
        if self._closed and not self.requests:
            self.exit(0)

    @property
    def in_flight(self) -> int:
        """The requests that it has and that somebody still waits for."""
        return sum(not request.done for _, request in self.requests)

    def ended(self) -> None:
        """The requests that it had get no answer."""
        for server, request in self.requests:
            self.world.gateway.answer(server, request, completed=False)


class ForeignProgram(Replica):
    """Another program at the port of a replica, which answers everything."""

    foreign = True

    def __init__(self, this: World, index: int) -> None:
        Running.__init__(
            self, this, f"another program at {index}", FIRST_PORT + index - 1, _nothing
        )
        self.index, self.version, self.requests = index, 0, []
        self.ready = self.was_ready = True
        self.draining = False


def _nothing(code: int) -> None:
    del code


class SimulatedChild(Child):
    """A child process in the world; what waits for it and stops it is the production code's."""

    def __init__(self, running: Running) -> None:
        loop, owner = asyncio.get_running_loop(), PROCESS.get()
        self.running, self.pid = running, running.process.pid
        self.exited: asyncio.Future[int] = loop.create_future()
        self.announced: asyncio.Future[bytes] = loop.create_future()
        self._reader = None
        # What a process is told of its children, it is told in its own loop.
        context = owner.context if owner else None

        def exited(code: int) -> None:
            loop.call_later(0.001, _resolve, self.exited, code, context=context)

        def announced() -> None:
            loop.call_later(0.0005, _resolve, self.announced, b"{}", context=context)

        running.on_exit, running.on_ready = exited, announced

    @classmethod
    def start(cls, command: Command, output: Path, reader: Command | None = None) -> SimulatedChild:
        """Start a program of the world."""
        del output, reader
        check_alive()
        return cls(START[command.argv[0]](*command.argv[1:]))

    def cpu_wait_seconds(self) -> float:
        """The world has CPUs enough."""
        return 0.0

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal."""
        check_alive()
        if not self.exited.done():
            self.running.signal(signal_number)

    def kill(self) -> None:
        """Kill it."""
        self.send(signal.SIGKILL)


def _resolve(future: asyncio.Future[int] | asyncio.Future[bytes], value: int | bytes) -> None:
    if not future.done():
        future.set_result(value)  # type: ignore[arg-type]  # each with its own


START: Final[dict[str, Callable[..., Running]]] = {}
"""How each program is started, by the first word of its command."""


def _port(url: str) -> int:
    return urlsplit(url).port or 0


async def probe(url: str) -> str:
    """In the place of an HTTP probe."""
    this = world()
    await this.delay()
    running = this.listeners.get(_port(url))
    if running is None:
        return f"{url} cannot be reached: connection refused"
    if running.process.stopped:
        await asyncio.sleep(PROBE_SECONDS)
        check_alive()
        return f"{url} does not respond within {PROBE_SECONDS:g} s"
    unready = isinstance(running, Replica) and running.is_unready
    return "" if running.ready and not unready else f"{url} responded with status 503"


def earlier_listener(url: str, pid: int) -> str | None:
    """In the place of a look at the machine's sockets."""
    running = world().listeners.get(_port(url))
    if running is None or running.process.pid >= pid:
        return ""
    return f"process {running.process.pid} ({running.process.name})"
