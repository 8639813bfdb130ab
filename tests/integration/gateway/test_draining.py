"""The gateway sends a replica that is to stop no more requests, also one that says that it is ready."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import (
    DEADLINE_SECONDS,
    Behind,
    Gateway,
    StartGateway,
    StartReplica,
    post,
)
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import probe_session
from tidegate.settings import load
from tidegate.stack.gateway.runtime_api import Server
from tidegate.stack.processes.process import Command
from tidegate.stack.processes.process_supervisor import ProcessSupervisor, Program
from tidegate.stack.replicas.release import Release
from tidegate.stack.replicas.replica_pool import ReplicaPool

pytestmark = pytest.mark.integration

# After SIGTERM it finishes the requests that it has, accepts others as before, and drops those at its end; or
# it ends at once, as the servers of Go, Node and llama.cpp do.
ALWAYS_READY = """
import asyncio, os, signal, sys
from aiohttp import web

busy, ending = set(), asyncio.Event()

async def ready(_):
    return web.Response()

async def work(request):
    task = asyncio.current_task()
    busy.add(task)
    try:
        await request.read()
        await (ending.wait() if request.path == "/poll" else asyncio.sleep(0.3))
        return web.json_response({})
    finally:
        asyncio.get_running_loop().call_later(0.05, busy.discard, task)

async def end(had):
    ending.set()
    while busy & had:
        await asyncio.sleep(0.01)
    os._exit(0)

async def main():
    app = web.Application()
    app.router.add_get("/ready", ready)
    app.router.add_post("/{path}", work)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    loop, ends = asyncio.get_running_loop(), []
    if sys.argv[2] == "finishes":
        loop.add_signal_handler(signal.SIGTERM, lambda: ends.append(loop.create_task(end(set(busy)))))
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def running_pool(
    tmp_path: Path,
) -> Callable[..., AbstractAsyncContextManager[ReplicaPool]]:
    """Runs a pool of replicas with these ports behind a gateway."""

    @asynccontextmanager
    async def run(
        gateway: Gateway, ports: list[int], desired: int, at_its_end: str = "finishes"
    ) -> AsyncIterator[ReplicaPool]:
        event_log = EventLog.to_files(load(stack={"data_dir": tmp_path}), "stack", "stack")
        async with probe_session() as (probe, _):

            def replica(index: int, _: Release) -> ProcessSupervisor:
                port = ports[index - 1]
                argv = (sys.executable, "-c", ALWAYS_READY, str(port), at_its_end)
                program = Program(
                    name=f"shop-{index}",
                    command=Command(argv, os.environ, tmp_path),
                    output=tmp_path / "replica.log",
                    ready_url=f"http://127.0.0.1:{port}/ready",
                    address=f"http://127.0.0.1:{port}",
                    start_seconds=60,
                    stop_seconds=2 * DEADLINE_SECONDS,
                    answers_first=at_its_end == "finishes",
                )
                return ProcessSupervisor(program, event_log, probe)

            pool = ReplicaPool(
                replica, event_log, gateway.admin, len(ports), desired, Release(path=Path())
            )
            pool.start()
            following = asyncio.create_task(pool.run())
            try:
                yield pool
            finally:
                following.cancel()
                await pool.drain_all()

    return run


RunningPool = Callable[..., AbstractAsyncContextManager[ReplicaPool]]


@pytest.mark.parametrize("at_its_end", ["finishes", "drops"])
async def test_a_replica_that_stays_ready_until_its_end_loses_no_request(
    at_its_end: str,
    start_gateway: StartGateway,
    next_port: Callable[[], int],
    running_pool: RunningPool,
) -> None:
    ports = [next_port(), next_port()]
    addresses = [f"127.0.0.1:{port}" for port in ports]
    gateway = await start_gateway(addresses, used=False, keep_alive=False)
    async with running_pool(gateway, ports, 2, at_its_end) as pool:
        await gateway.ready_replicas(2)
        statuses: list[int] = []

        async def order() -> None:
            while pool.desired == 2 or len(pool.processes) > 1:
                statuses.append(await post(gateway, "/orders"))

        clients = [asyncio.create_task(order()) for _ in range(4)]
        await eventually_async(lambda: len(statuses) >= 8)
        pool.resize(1)
        await asyncio.gather(*clients)
        assert set(statuses) == {200}
        # The next replica of this index is used.
        pool.resize(2)
        await gateway.ready_replicas(2)


async def test_a_replica_that_answers_its_requests_first_is_told_at_once(
    start_gateway: StartGateway, next_port: Callable[[], int], running_pool: RunningPool
) -> None:
    ports = [next_port()]
    gateway = await start_gateway([f"127.0.0.1:{ports[0]}"], used=False)
    async with running_pool(gateway, ports, 1) as pool:
        poll = asyncio.create_task(post(gateway, "/poll"))

        async def begun() -> bool:
            return (await gateway.admin.servers())[1].requests == 1

        await eventually_async(begun)
        pool.resize(0)
        assert await poll == 200  # it ends with its replica, before the client gives up


async def test_another_program_at_the_port_of_a_replica_gets_no_requests(
    start_gateway: StartGateway, start_replica: StartReplica, running_pool: RunningPool
) -> None:
    # Where our replica cannot bind, where it runs, and where none runs.
    strangers = [await start_replica() for _ in range(3)]
    own = strangers.pop(1)
    await own.stop()
    ports = [strangers[0].port, own.port, strangers[1].port]
    gateway = await start_gateway([f"127.0.0.1:{port}" for port in ports], used=False)
    async with running_pool(gateway, ports, 2) as pool:
        assert [await post(gateway, "/orders") for _ in range(8)] == [200] * 8
        assert pool.processes[1].ready_at is None
        pool.processes[2].kill()
        await eventually_async(lambda: pool.processes[2].restarts == 1)
        assert await post(gateway, "/orders") == 200  # the next one answers
    assert [one.requests for one in strangers] == [[], []]


async def test_a_gateway_that_restarts_sends_requests_to_the_replicas_again(
    start_gateway: StartGateway, next_port: Callable[[], int], running_pool: RunningPool
) -> None:
    port = next_port()
    gateway = await start_gateway([f"127.0.0.1:{port}"], used=False)
    async with running_pool(gateway, [port], 1) as pool:
        assert await post(gateway, "/orders") == 200
        await gateway.stop()
        restarted = await start_gateway([f"127.0.0.1:{port}"], used=False)
        pool.wake()
        assert await post(restarted, "/orders") == 200


async def test_a_removed_replica_finishes_its_requests_and_gets_others_when_it_is_enabled(
    behind: Behind,
) -> None:
    gateway, (draining, _) = await behind({"blocked": True}, {}, slots=1)
    admin = gateway.admin
    requests = [asyncio.create_task(post(gateway)) for _ in range(2)]
    await draining.wait_for_requests(1)
    await admin.remove(1)
    assert (await admin.servers())[1] == Server(limit=1, requests=1, is_up=False, enabled=False)
    assert [await post(gateway) for _ in range(4)] == [200] * 4
    draining.release.set()
    assert await asyncio.gather(*requests) == [200] * 2
    assert len(draining.requests) == 1
    await admin.enable(1)
    assert (await admin.servers())[1].is_up  # without a check
