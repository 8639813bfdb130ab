"""The memory of containers, of what the engine answers."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.memory import Memory, MemorySampler, used_bytes
from tidegate.resizer.compose.run import add_metrics


@pytest.mark.parametrize(
    ("stats", "used"),
    [
        # Names of cgroup version 2, then of version 1, where the same ones without `total_` are of one level.
        ({"anon": 60, "inactive_file": 30, "active_file": 9}, 61),
        ({"inactive_file": 1, "total_inactive_file": 30, "total_active_file": 9}, 61),
        ({}, 100),
        ({"inactive_file": 200}, 0),
    ],
)
def test_file_cache_does_not_count(stats: dict[str, int], used: int) -> None:
    assert used_bytes({"usage": 100, "stats": stats}) == used


class Engine:
    """Two containers; one of them ends before it is asked for, a third has just ended."""

    async def running(self, project: str) -> list[dict[str, Any]]:
        assert project == "shop"
        labels = {"com.docker.compose.service": "kibana"}
        return [
            {"Id": one, "Names": [f"/shop-{one}-1"], "Labels": labels} for one in ("a", "b", "c")
        ]

    async def memory(self, container: str) -> dict[str, Any]:
        if container == "b":
            raise EngineError(404, "no such container")
        return {"usage": 70, "limit": 100, "stats": {}} if container == "a" else {}


async def test_what_ends_meanwhile_is_left_out() -> None:
    sampler = MemorySampler(Engine(), "shop")  # type: ignore[arg-type]
    assert await sampler.sample() == [Memory("kibana", "shop-a-1", 70, 100)]


async def test_the_resizer_exports_the_last_sample() -> None:
    sampler = MemorySampler(Engine(), "shop")  # type: ignore[arg-type]
    sampler.samples = (Memory("kibana", "shop-a-1", 70, 100),)
    app = web.Application()
    add_metrics(app, sampler)
    async with TestClient(TestServer(app)) as client:
        text = await (await client.get("/metrics")).text()
    labels = '{container="shop-a-1",service="kibana"}'
    assert f"tidegate_container_memory_bytes{labels} 70.0\n" in text
    assert f"tidegate_container_memory_limit_bytes{labels} 100.0\n" in text
    assert "process_resident_memory_bytes" in text
