"""The memory of the project's containers, sampled from the Docker engine, as metrics.

The resizer alone reaches the engine, so it alone can say this. What it exports is read-only, and a scrape
costs the engine nothing: it gets the last sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.resizer.compose.engine import (
    SERVICE_LABEL,
    Engine,
    EngineError,
    EngineGoneError,
    Json,
)

SAMPLE_SECONDS: Final = 5.0
# File cache that the kernel can drop before it kills: names of cgroup version 2, then of version 1.
DROPPABLE: Final = (
    ("inactive_file", "active_file"),
    ("total_inactive_file", "total_active_file"),
)


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one container, in bytes.

    Attributes:
        service: its Compose service.
        container: its name.
        used: what it holds, without file cache that can be dropped.
        limit: what it may use; the machine's memory where it has no limit.
    """

    service: str
    container: str
    used: int
    limit: int


def used_bytes(memory: Json) -> int:
    """The memory of a container that cannot be dropped: what an out-of-memory kill goes by.

    Args:
        memory: `memory_stats` of the engine's answer.
    """
    details = memory.get("stats") or {}
    names = DROPPABLE[1] if DROPPABLE[1][0] in details else DROPPABLE[0]
    return max(0, int(memory["usage"]) - sum(int(details.get(name, 0)) for name in names))


@dataclass(slots=True, eq=False)  # a registry keeps collectors as keys
class MemorySampler(Collector):
    """Samples the containers of one project; a collector of Prometheus' client."""

    engine: Engine
    project: str
    samples: tuple[Memory, ...] = field(default=(), init=False)

    async def run(self) -> None:
        """Sample for ever. While the engine is away there are no samples."""
        while True:
            try:
                self.samples = tuple(await self.sample())
            except (EngineError, EngineGoneError):
                self.samples = ()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def sample(self) -> list[Memory]:
        """The memory of each running container of the project.

        Raises:
            EngineError: the engine refuses.
            EngineGoneError: it cannot be reached.
        """
        found = []
        for one in await self.engine.running(self.project):
            try:
                memory = await self.engine.memory(one["Id"])
            except EngineError as error:
                if error.status not in {404, 409}:  # it ended between the two calls
                    raise
                continue
            if "usage" in memory:  # else it has just ended
                found.append(_memory(one, memory))
        return found

    def collect(self) -> Iterable[Metric]:
        """The last samples."""
        used = GaugeMetricFamily(
            "tidegate_container_memory_bytes",
            "Memory of a container, without file cache that can be dropped.",
            labels=["service", "container"],
        )
        limit = GaugeMetricFamily(
            "tidegate_container_memory_limit_bytes",
            "Memory that a container may use.",
            labels=["service", "container"],
        )
        for one in self.samples:
            used.add_metric([one.service, one.container], one.used)
            limit.add_metric([one.service, one.container], one.limit)
        return [used, limit]


def _memory(container: Json, memory: dict[str, Any]) -> Memory:
    return Memory(
        service=container["Labels"].get(SERVICE_LABEL, ""),
        container=container["Names"][0].removeprefix("/"),
        used=used_bytes(memory),
        limit=int(memory["limit"]),
    )
