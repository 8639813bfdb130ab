"""A model of HAProxy as the gateway: its queue, its servers, its checks and its runtime API.

What it does follows observability/haproxy/haproxy.cfg.j2: a server that is enabled is up at once, one refused
connection or failed check takes it down, a request whose connection failed goes to another server.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .event_loop import OsProcess, check_alive
from .world import World, world

if TYPE_CHECKING:
    from .programs import Replica

CHECK_SECONDS: Final = 0.5
DOWN_CHECK_SECONDS: Final = 0.1
QUEUE_SECONDS: Final = 20.0
RESPONSE_SECONDS: Final = 15.0
COLUMNS: Final = "# pxname,svname,scur,slim,status,\n"
SERVER: Final = re.compile(r"model/model(\d+)")

Listener = Callable[[int], "Replica | None"]
"""What listens at the port of a server, by its index."""


@dataclass(eq=False)
class Request:
    """A request, from its arrival on."""

    arrived_at: float
    sent_at: float = 0.0
    done: bool = False


@dataclass
class Server:
    """A server of the backend."""

    index: int
    limit: int
    enabled: bool = False
    up: bool = False
    requests: list[Request] = field(default_factory=list)


class Gateway:
    """HAProxy, while its process runs, and the clients in front of it."""

    def __init__(self, this: World, listener: Listener) -> None:
        self.world, self._listener = this, listener
        self.process: OsProcess | None = None
        self.servers: dict[int, Server] = {}
        self.queue: deque[Request] = deque()
        self.arrived = self.answered = self.refused = 0
        self.slot_seconds = 0.0
        self.latencies: deque[tuple[float, float]] = deque(maxlen=400)
        # Called with an index whenever a request is sent to what listens there.
        self.on_send: list[Callable[[int, Replica], None]] = []
        self._backlog: list[Callable[[], object]] = []
        this.later(CHECK_SECONDS, self._check)
        this.later(DOWN_CHECK_SECONDS, self._check_down)
        this.later(0.0, self._arrive)

    @property
    def runs(self) -> bool:
        """Whether it answers now."""
        return self.process is not None and not self.process.dead and not self.process.stopped

    def begin(self, process: OsProcess, servers: int) -> None:
        """Start with a number of servers, none of which gets requests."""
        self.process = process
        indexes = range(1, servers + 1)
        self.servers = {index: Server(index, self.world.setup.slots) for index in indexes}

    def end(self) -> None:
        """The process has ended, and with it each request that it had."""
        self.process = None
        for request in self.queue:
            request.done = True
        for server in self.servers.values():
            for request in server.requests:
                request.done = True
        self.queue.clear()
        self._backlog.clear()
        self.servers = {}

    def resumed(self) -> None:
        """After SIGCONT: first the connections that wait."""
        waiting, self._backlog = self._backlog, []
        for act in waiting:
            act()
        self.dispatch()

    def when_it_runs(self, act: Callable[[], object]) -> None:
        """Do this now, or when the process is no longer stopped."""
        if self.runs:
            act()
        elif self.process is not None:
            self._backlog.append(act)

    def _arrive(self) -> None:
        setup, now = self.world.setup, self.world.now
        rate = next((rate for at, rate in reversed(setup.rates) if at <= now), 0.0)
        wait = self.world.random.expovariate(rate) if rate > 0.01 else 1.0
        self.world.later(min(wait, 1.0), self._arrive)
        if wait < 1.0:
            self.when_it_runs(self._take)

    def _take(self) -> None:
        request = Request(self.world.now)
        self.arrived += 1
        self.queue.append(request)
        self.dispatch()

    def dispatch(self) -> None:
        """Send waiting requests to the least busy servers."""
        while self.queue and self.runs:
            free = [
                one
                for one in self.servers.values()
                if one.enabled and one.up and len(one.requests) < one.limit
            ]
            if not free:
                return
            server = min(free, key=lambda one: (len(one.requests), one.index))
            request = self.queue.popleft()
            if request.done or self.world.now - request.arrived_at > QUEUE_SECONDS:
                self.refused += not request.done
                continue
            self._send(server, request)

    def _send(self, server: Server, request: Request) -> None:
        replica = self._listener(server.index)
        if replica is not None:
            for check in self.on_send:
                check(server.index, replica)
        if replica is None or not replica.accepts(request, server):
            server.up = False
            self.queue.appendleft(request)
            return
        request.sent_at = self.world.now
        server.requests.append(request)

        def give_up() -> None:
            if not request.done:
                self.answer(server, request, completed=False)

        self.world.later(RESPONSE_SECONDS, give_up)

    def answer(self, server: Server, request: Request, *, completed: bool = True) -> None:
        """A request has its response, or its connection broke."""
        if request.done:
            return
        request.done = True
        if request in server.requests:
            server.requests.remove(request)
        if completed:
            self.answered += 1
            self.slot_seconds += self.world.now - request.sent_at
            self.latencies.append((self.world.now, self.world.now - request.arrived_at))
        self.dispatch()

    def _check(self) -> None:
        self.world.later(CHECK_SECONDS, self._check)
        self._check_servers(up=True)

    def _check_down(self) -> None:
        self.world.later(DOWN_CHECK_SECONDS, self._check_down)
        self._check_servers(up=False)

    def _check_servers(self, *, up: bool) -> None:
        if not self.runs:
            return
        for server in self.servers.values():
            if server.enabled and server.up == up:
                replica = self._listener(server.index)
                server.up = replica is not None and replica.passes_check(was_up=server.up)
        self.dispatch()

    def execute(self, command: str) -> str:
        """Execute a line of the runtime API. Returns the output."""
        if command.startswith("show stat"):
            rows = (
                f"model,model{one.index},{len(one.requests)},{one.limit},"
                f"{'MAINT' if not one.enabled else 'UP' if one.up else 'DOWN'},\n"
                for one in self.servers.values()
            )
            return COLUMNS + "".join(rows)
        for part in command.split(";"):
            named = SERVER.search(part)
            server = self.servers.get(int(named[1])) if named else None
            if server is None:
                return "No such server.\n"
            if "maxconn" in part:
                server.limit = int(part.split()[-1])
            elif part.endswith("state ready"):
                # A server that leaves the state maint is up.
                server.up |= not server.enabled
                server.enabled = True
            elif part.endswith("state maint"):
                server.enabled = server.up = False
            self.world.say(f"gateway: {part}")
        self.dispatch()
        return ""

    def page(self) -> str:
        """Its exporter's page."""
        return (
            f'haproxy_backend_sessions_total{{proxy="model"}} {self.arrived}\n'
            f'haproxy_backend_current_queue{{proxy="model"}} {len(self.queue)}\n'
        )


class Connection:
    """A connection to the runtime API: reader and writer in one."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway, self._command = gateway, ""

    def write(self, data: bytes) -> None:
        """Send a command."""
        check_alive()
        self._command += data.decode().strip()

    async def drain(self) -> None:
        """It is on its way."""

    def close(self) -> None:
        """The gateway may still execute what was sent."""

    async def read(self) -> bytes:
        """Wait for the answer."""
        this, gateway = world(), self._gateway
        await this.delay()
        kind = this.kind("socket")
        if kind == "reset-before":
            raise ConnectionResetError
        answer: asyncio.Future[str] = this.loop.create_future()

        def execute() -> None:
            output = gateway.execute(self._command) if gateway.runs else ""
            if not answer.done():
                answer.set_result(output)

        if kind in {"hang", "late"}:
            this.later(this.random.uniform(1.0, 4.0), lambda: gateway.when_it_runs(execute))
            await (answer if kind == "late" else this.loop.create_future())
        gateway.when_it_runs(execute)
        output = await answer
        if kind == "reset-after":
            raise ConnectionResetError
        await this.delay()
        return b"\x00not a table" if kind == "garbage" else output.encode()


async def open_unix_connection(path: str) -> tuple[Connection, Connection]:
    """In the place of asyncio's: the only socket that is opened so is that of the runtime API."""
    del path
    this = world()
    await this.delay()
    gateway = this.gateway
    if gateway.process is None:
        raise ConnectionRefusedError
    if this.kind("socket") == "full":
        raise BlockingIOError
    connection = Connection(gateway)
    return connection, connection
