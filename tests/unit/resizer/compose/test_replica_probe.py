"""The readiness and the load that a replica reports."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.replica_probe import ReplicaProbe, busy_slots

Make = Callable[..., Container]


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("# TYPE tidegate_slots_busy gauge\ntidegate_slots_busy 2.0\n", 2.0),
        ('tidegate_slots 4.0\ntidegate_slots_busy{a="b"} 3.0 1712.5\n', 3.0),
        ("tidegate_slots_busy NaN\n", math.inf),
        ("tidegate_slots_busy many\n", math.inf),
        ("tidegate_slots_busy_more 1\n", math.inf),
        ("", math.inf),
    ],
)
def test_busy_slots(text: str, busy: float) -> None:
    assert busy_slots(text) == busy


async def test_only_a_shared_network_is_used(container: Make) -> None:
    urls = []

    async def fetch(url: str, seconds: float) -> str | None:
        urls.append(url)
        return "tidegate_slots_busy 1.0\n"

    networks = {
        name: {"NetworkID": name, "IPAddress": address}
        for name, address in (("back", "10.0.1.1"), ("front", "10.0.2.1"), ("none", ""))
    }
    one = container(1, networks=networks)
    assert await ReplicaProbe(fetch, frozenset({"front"})).loads([one]) == {one.id: 1.0}
    assert await ReplicaProbe(fetch, frozenset({"else"})).loads([one]) == {one.id: math.inf}
    assert await ReplicaProbe(fetch, None).loads([one]) == {one.id: 1.0}
    assert urls == ["http://10.0.2.1:8000/metrics", "http://10.0.1.1:8000/metrics"]


async def test_a_replica_is_ready_if_docker_or_the_replica_itself_reports_it(
    container: Make,
) -> None:
    urls = []

    async def fetch(url: str, seconds: float) -> str | None:
        urls.append(url)
        return "" if "10.0.0.2" in url else None

    replicas = [
        container(1),
        container(2, health=""),
        container(3, health="starting"),
        container(4, state={"Status": "exited"}),
    ]
    ready = await ReplicaProbe(fetch, None).ready(replicas)
    assert ready == {replicas[0].id, replicas[1].id}
    assert urls == ["http://10.0.0.2:8000/ready", "http://10.0.0.3:8000/ready"]
