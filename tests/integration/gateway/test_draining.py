"""The gateway sends a replica that is to stop no more requests, also one that says that it is ready."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import Behind, StartGateway, post
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import probe_session
from tidegate.settings import load
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

busy = set()

async def ready(_):
    return web.Response()

async def work(request):
    task = asyncio.current_task()
    busy.add(task)
    try:
        await request.read()
        await asyncio.sleep(0.3)
        return web.json_response({})
    finally:
        asyncio.get_running_loop().call_later(0.05, busy.discard, task)

async def end(had):
    while busy & had:
        await asyncio.sleep(0.01)
    os._exit(0)

async def main():
    app = web.Application()
    app.router.add_get("/ready", ready)
    app.router.add_post("/orders", work)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    loop, ends = asyncio.get_running_loop(), []
    if sys.argv[2] == "finishes":
        loop.add_signal_handler(signal.SIGTERM, lambda: ends.append(loop.create_task(end(set(busy)))))
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.parametrize("at_its_end", ["finishes", "drops"])
async def test_a_replica_that_stays_ready_until_its_end_loses_no_request(
    at_its_end: str, start_gateway: StartGateway, next_port: Callable[[], int], tmp_path: Path
) -> None:
    ports = [next_port(), next_port()]
    gateway = await start_gateway([f"127.0.0.1:{port}" for port in ports], keep_alive=False)
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
                stop_seconds=30,
            )
            return ProcessSupervisor(program, event_log, probe)

        pool = ReplicaPool(replica, event_log, gateway.admin, 2, 2, Release(path=Path()))
        pool.start()
        following = asyncio.create_task(pool.run())
        try:
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
        finally:
            following.cancel()
            await pool.drain_all()


async def test_another_program_at_the_port_of_a_replica_gets_no_requests(
    behind: Behind, tmp_path: Path
) -> None:
    gateway, (stranger, own) = await behind({}, {}, slots=1)
    event_log = EventLog.to_files(load(stack={"data_dir": tmp_path}), "stack", "stack")
    async with probe_session() as (probe, _):

        def replica(index: int, _: Release) -> ProcessSupervisor:
            # It lives on without its port, at which the other program answers.
            argv = (sys.executable, "-c", "import time; time.sleep(600)")
            program = Program(
                name=f"shop-{index}",
                command=Command(argv, os.environ, tmp_path),
                output=tmp_path / "replica.log",
                ready_url=f"http://{stranger.address}/ready",
                address=f"http://{stranger.address}",
                start_seconds=60,
                stop_seconds=30,
            )
            return ProcessSupervisor(program, event_log, probe)

        pool = ReplicaPool(replica, event_log, gateway.admin, 1, 1, Release(path=Path()))
        pool.start()
        following = asyncio.create_task(pool.run())
        try:
            await gateway.ready_replicas(1)
            before = len(stranger.requests)
            assert [await post(gateway) for _ in range(8)] == [200] * 8
            assert (len(stranger.requests), len(own.requests)) == (before, 8)
        finally:
            following.cancel()
            await pool.drain_all()


async def test_a_drained_replica_finishes_its_requests_and_is_used_after_its_next_check(
    behind: Behind,
) -> None:
    gateway, (draining, _) = await behind({"blocked": True}, {}, slots=1)
    admin = gateway.admin
    requests = [asyncio.create_task(post(gateway)) for _ in range(2)]
    await draining.wait_for_requests(1)
    await admin.drain(1)
    assert [await post(gateway) for _ in range(4)] == [200] * 4
    draining.release.set()
    assert await asyncio.gather(*requests) == [200] * 2
    assert len(draining.requests) == 1
    await admin.end_drain(1)
    await gateway.ready_replicas(2)
