"""Small real programs to supervise, and the fixtures of the supervisor's tests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

from support.ports import free_ports
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import Probe, probe_session
from tidegate.runtime.keep_running import keep_running
from tidegate.settings import load
from tidegate.stack.gateway.runtime_api import GatewayUnavailableError, RuntimeApi, Server
from tidegate.stack.processes.process import Command, tail
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool

# /ready fails while its folder has a file `unready`. After SIGTERM it exits when `linger` seconds have passed
# and there is no file `busy`.
SERVER = """
import http.server, os, signal, sys, threading, time
port, linger = int(sys.argv[1]), float(sys.argv[2])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(503 if os.path.exists("unready") else 200)
        self.end_headers()
    def log_message(self, *_): pass
def drain():
    time.sleep(linger)
    while os.path.exists("busy"):
        time.sleep(0.01)
    os._exit(0)
def end(*_):
    threading.Thread(target=drain).start()
signal.signal(signal.SIGTERM, end)
print("listening", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs; a zombie does not."""

    def check(pid: int) -> bool:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    return check


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., Command]:
    """A command that runs Python code in the test's folder."""

    def make(code: str, *arguments: object) -> Command:
        argv = (sys.executable, "-c", code, *map(str, arguments))
        return Command(argv, {"PATH": os.environ["PATH"]}, tmp_path)

    return make


@pytest.fixture
def server(tmp_path: Path, python: Callable[..., Command]) -> Callable[..., Program]:
    """A program that serves HTTP on a port."""

    def make(
        name: str,
        port: int,
        *,
        code: str = SERVER,
        before: str = "",
        linger: float = 0.0,
        start_seconds: float = 20.0,
        stop_seconds: float = 10.0,
    ) -> Program:
        address, output = f"http://127.0.0.1:{port}", tmp_path / f"{name}.log"
        return Program(
            name=name,
            command=python(before + code, port, linger),
            output=output,
            ready_url=f"{address}/ready",
            address=address,
            start_seconds=start_seconds,
            stop_seconds=stop_seconds,
            answers_first=False,
            recent_output=lambda start, _: tail(output, start=start),
            start_setting="replicas.start_seconds",
        )

    return make


@pytest.fixture
def event_log(tmp_path: Path) -> EventLog:
    return EventLog.to_files(load(stack={"data_dir": tmp_path / "data"}), "stack", "stack")


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    async with probe_session() as (found, _):
        yield found


@dataclass(frozen=True)
class KnownServers(RuntimeApi):
    """A gateway that does not run, and about whose servers a test knows this, or nothing."""

    known: Mapping[int, Server]

    async def servers(self) -> dict[int, Server]:
        if not self.known:
            raise GatewayUnavailableError("the gateway does not answer")
        return dict(self.known)


@pytest.fixture
def running_pool(
    server: Callable[..., Program], event_log: EventLog, probe: Probe
) -> Callable[..., AbstractAsyncContextManager[ReplicaPool]]:
    """Runs a pool of such programs; no gateway runs in front of it."""

    @asynccontextmanager
    async def run(
        desired: int = 1,
        max_replicas: int = 4,
        load: Mapping[int, int] = MappingProxyType({}),
        *,
        is_up: bool | None = True,
        before: Callable[[Release], str] = lambda _: "",
    ) -> AsyncIterator[ReplicaPool]:
        first_port = free_ports(max_replicas + 1)
        indexes = () if is_up is None else range(1, max_replicas + 2)
        servers = {n: Server(2, load.get(n, 0), bool(is_up)) for n in indexes}

        def create(index: int, release: Release) -> ProcessSupervisor:
            port = first_port + index - 1
            program = server(f"flights-{index}", port, before=before(release))
            return ProcessSupervisor(program, event_log, probe)

        pool = ReplicaPool(
            create=create,
            event_log=event_log,
            gateway=KnownServers(Path("/no/gateway"), servers),
            max_replicas=max_replicas,
            desired=desired,
            release=Release(path=Path("old")),
        )
        for process in pool.start():
            assert await process.first_ready() == ""
        following = asyncio.create_task(keep_running("replicas", pool.run, event_log.fault))
        try:
            yield pool
        finally:
            following.cancel()
            await asyncio.wait([following])
            await pool.drain_all()
            assert pool.processes == {}

    return run
