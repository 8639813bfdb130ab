"""In Kubernetes the addresses of the replicas are set in the running gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.eventually import eventually_async
from support.processes.gateway_process import Gateway, Replica, post, start_haproxy
from tidegate.runtime.kubernetes_api import ApiServerError
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration
from tidegate.stack.gateway.replica_servers import ReplicaServers, follow

pytestmark = pytest.mark.integration

NUMBER = 2


class Scene:
    """A gateway with two servers without an address, and replicas at addresses of one port."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway, self.port = gateway, port
        self.servers = ReplicaServers(gateway.admin, port, NUMBER)
        self.replicas: list[Replica] = []

    async def replica(self, **behaviour: Any) -> Replica:
        one = Replica(self.port, f"127.0.0.{len(self.replicas) + 2}", **behaviour)
        self.replicas.append(one)
        await one.start()
        return one


@pytest.fixture
async def scene(
    tmp_path: Path, make_settings: Callable[..., Settings], session: aiohttp.ClientSession
) -> AsyncIterator[Scene]:
    settings, port = make_settings(slots=1), make_settings().gateway.port
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        configuration.render_config(
            settings, dns_name=f"replicas:{port}", dns_servers=(), max_replicas=NUMBER
        )
    )
    gateway = await start_haproxy(settings, config, tmp_path / "access.ndjson", session)
    await gateway.wait_until_queueing()
    running = Scene(gateway, port)
    yield running
    for replica in running.replicas:
        await replica.stop()
    await gateway.stop()


async def test_a_replica_gets_requests_from_its_first_successful_check(scene: Scene) -> None:
    request = asyncio.create_task(post(scene.gateway))
    await scene.gateway.queued(1)
    replica = await scene.replica(ready=False)
    await scene.servers.update([replica.host])
    await eventually_async(lambda: replica.checks >= 2)
    assert replica.requests == []
    replica.ready = True
    assert await request == 200
    (line,) = await scene.gateway.lines(1)
    assert line["tidegate"]["gateway"]["server"] == "model1"
    assert line["tidegate"]["gateway"]["retries"] == 0


async def test_a_replica_whose_address_is_gone_finishes_its_request_and_gets_no_other(
    scene: Scene,
) -> None:
    ending, other = await scene.replica(blocked=True), await scene.replica()
    await scene.servers.update([ending.host])
    await scene.gateway.ready_replicas(1)
    request = asyncio.create_task(post(scene.gateway))
    await ending.wait_for_requests(1)
    await scene.servers.update([other.host])
    assert [await post(scene.gateway) for _ in range(4)] == [200] * 4
    ending.release.set()
    assert await request == 200
    assert (len(ending.requests), len(other.requests)) == (1, 4)


async def test_an_address_without_a_server_waits_until_one_is_free(scene: Scene) -> None:
    replicas = [await scene.replica() for _ in range(3)]
    await scene.servers.update(one.host for one in replicas)
    assert scene.servers.used == {"127.0.0.2": 1, "127.0.0.3": 2}
    await scene.servers.update(one.host for one in replicas[1:])
    assert scene.servers.used == {"127.0.0.3": 2, "127.0.0.4": 1}
    await scene.gateway.ready_replicas(2)
    requests = [asyncio.create_task(post(scene.gateway)) for _ in range(4)]
    assert await asyncio.gather(*requests) == [200] * 4
    assert replicas[0].requests == []
    assert replicas[2].requests != []


async def test_the_last_addresses_stay_while_the_api_server_is_away(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    replica = await scene.replica()
    reads = 0
    found: frozenset[str] | None = frozenset({replica.host})

    async def read() -> frozenset[str]:
        nonlocal reads
        reads += 1
        if found is None:
            raise ApiServerError("the API server cannot be reached")
        return found

    async def two_reads() -> None:
        least = reads + 2
        await eventually_async(lambda: reads >= least)

    following = asyncio.create_task(follow(scene.servers, read))
    await scene.gateway.ready_replicas(1)
    found = None
    await two_reads()
    assert list(scene.servers.used) == [replica.host]
    assert await post(scene.gateway) == 200
    found = frozenset()
    await two_reads()
    following.cancel()
    assert not scene.servers.used
    assert capsys.readouterr().err.splitlines() == [
        "gateway: the API server cannot be reached",
        "gateway: the API server answers again",
    ]
