"""A real HAProxy with the rendered configuration, in front of small controllable replicas."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.ports import free_port
from support.processes.gateway_process import (
    DEADLINE_SECONDS,
    Behind,
    Gateway,
    Kill,
    Replica,
    SpawnReplica,
    StartGateway,
    StartReplica,
    start_haproxy,
)
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration


@pytest.fixture
def next_port() -> Callable[[], int]:
    return free_port


@pytest.fixture
def make_settings(next_port: Callable[[], int]) -> Callable[..., Settings]:
    def make(
        *,
        slots: int = 2,
        max_slots: int | None = None,
        max_replicas: int = 6,
        start_seconds: float = 60.0,
        latency_seconds: float = 0.5,
        command: tuple[str, ...] = (),
        **gateway_settings: Any,
    ) -> Settings:
        ports = {"port": next_port(), "metrics_port": next_port()}
        return Settings.model_validate(
            {
                "slots": {"per_replica": slots, "max": max_slots},
                "replicas": {
                    "max": max_replicas,
                    "start_seconds": start_seconds,
                    "command": command,
                },
                "slo": {"latency_seconds": latency_seconds},
                "gateway": {**ports, **gateway_settings},
            }
        )

    return make


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as opened:
        yield opened


@pytest.fixture
async def start_gateway(
    tmp_path: Path, make_settings: Callable[..., Settings], session: aiohttp.ClientSession
) -> AsyncIterator[StartGateway]:
    """Starts a gateway for these addresses; at the end it must still run, and is stopped.

    Unless `used` is false, it sends a replica requests from its first successful check.
    """
    started: list[Gateway] = []

    async def start(
        addresses: list[str],
        links: dict[str, str] | None = None,
        *,
        used: bool = True,
        **overrides: Any,
    ) -> Gateway:
        settings = make_settings(**overrides)
        folder = tmp_path / "a gateway"
        config = configuration.write_config(settings, folder, addresses, links=links)
        gateway = await start_haproxy(settings, config, tmp_path / "access.ndjson", session)
        started.append(gateway)
        for index, address in enumerate(addresses if used else (), 1):
            host, _, port = address.rpartition(":")
            await gateway.admin.use(index, host, int(port))
        return gateway

    yield start
    for running in started:
        assert running.stopped or not running.process.returncode
        if running.process.returncode is None:
            await running.stop()


@pytest.fixture
async def start_replica(next_port: Callable[[], int]) -> AsyncIterator[StartReplica]:
    """Starts a replica in this process; `start=False` leaves its port closed."""
    made: list[Replica] = []

    async def start(*, start: bool = True, **behaviour: Any) -> Replica:
        replica = Replica(next_port(), **behaviour)
        made.append(replica)
        if start:
            await replica.start()
        return replica

    yield start
    for replica in made:
        await replica.stop()


@pytest.fixture
def behind(start_replica: StartReplica, start_gateway: StartGateway) -> Behind:
    """Starts replicas with these behaviours, and a gateway that sends requests to each that is started.

    The gateway ends first, so that it checks no replica that is ending.
    """

    async def start(*behaviours: dict[str, Any], **settings: Any) -> tuple[Gateway, list[Replica]]:
        replicas = [await start_replica(**one) for one in behaviours]
        gateway = await start_gateway([one.address for one in replicas], **settings)
        await gateway.ready_replicas(sum(one.get("start", True) for one in behaviours))
        return gateway, replicas

    return start


@pytest.fixture
async def spawn_replica(next_port: Callable[[], int]) -> AsyncIterator[SpawnReplica]:
    """Starts a replica in a separate process, which can be killed."""
    spawned: list[asyncio.subprocess.Process] = []

    async def spawn() -> tuple[str, Kill]:
        port = next_port()
        program = Path(__file__).with_name("replica.py")
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), str(port), env={**os.environ, "PYTHONWARNINGS": "ignore"}
        )
        spawned.append(process)
        return f"127.0.0.1:{port}", lambda: process.send_signal(signal.SIGKILL)

    yield spawn
    for process in spawned:
        if process.returncode is None:
            process.kill()
        await process.wait()
