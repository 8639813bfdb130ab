"""The memory of containers, from the responses of the engine."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.metrics import ContainerMemory, MemorySampler, used_bytes


@pytest.mark.parametrize(
    ("stats", "used"),
    [
        # Fields of cgroup v2, then of v1, where fields without `total_` count only one level.
        ({"anon": 60, "inactive_file": 30, "active_file": 9}, 61),
        ({"inactive_file": 1, "total_inactive_file": 30, "total_active_file": 9}, 61),
        ({}, 100),
        ({"inactive_file": 200}, 0),
    ],
)
def test_reclaimable_file_cache_does_not_count(stats: dict[str, int], used: int) -> None:
    assert used_bytes({"usage": 100, "stats": stats}) == used


class Engine:
    """Lists three containers: one runs, one is removed before its sample, one has just exited."""

    async def running_containers(self, project: str) -> list[dict[str, Any]]:
        assert project == "shop"
        labels = {"com.docker.compose.service": "kibana"}
        return [
            {"Id": one, "Names": [f"/shop-{one}-1"], "Labels": labels} for one in ("a", "b", "c")
        ]

    async def memory_stats(self, container: str) -> dict[str, Any]:
        if container == "b":
            raise EngineError(404, "no such container")
        return {"usage": 70, "limit": 100, "stats": {}} if container == "a" else {}


async def test_a_container_that_exits_meanwhile_is_left_out() -> None:
    sampler = MemorySampler(Engine(), "shop")  # type: ignore[arg-type]
    assert await sampler.sample() == [ContainerMemory("kibana", "shop-a-1", 70, 100)]


def test_the_resizer_exports_the_last_sample() -> None:
    sampler = MemorySampler(Engine(), "shop")  # type: ignore[arg-type]
    sampler.samples = (ContainerMemory("kibana", "shop-a-1", 70, 100),)
    registry = CollectorRegistry()
    registry.register(sampler)
    text = generate_latest(registry).decode()
    labels = '{container="shop-a-1",service="kibana"}'
    assert f"tidegate_container_memory_bytes{labels} 70.0\n" in text
    assert f"tidegate_container_memory_limit_bytes{labels} 100.0\n" in text
