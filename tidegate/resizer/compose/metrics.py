"""The metrics of the resizer: the memory of the project's containers, and its own unexpected errors.

It exports the memory because no other component reaches the engine; cAdvisor would need its socket too, and
most of the host's files. A scrape returns the last sample and causes no call of the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tidegate.resizer.compose.engine import (
    SERVICE_LABEL,
    Engine,
    EngineError,
    EngineUnavailableError,
    Json,
)
from tidegate.runtime.event_log import EventLog

SAMPLE_SECONDS: Final = 5.0
# File cache that the kernel reclaims before it kills a process: fields of cgroup v2, then of v1.
RECLAIMABLE_FIELDS: Final = (
    ("inactive_file", "active_file"),
    ("total_inactive_file", "total_active_file"),
)


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps collectors as keys
class FaultCounter(Collector):
    """Counts the faults of an event log; a collector of the Prometheus client."""

    event_log: EventLog

    def collect(self) -> Iterable[Metric]:
        """The number now."""
        yield CounterMetricFamily(
            "tidegate_resizer_faults",
            "Unexpected errors in loops of the resizer, which then run again; each is an event "
            "fault.",
            value=self.event_log.faults,
        )


@dataclass(frozen=True, slots=True)
class ContainerMemory:
    """The memory of one container, in bytes: used and limit.

    Used does not count file cache that the kernel can reclaim. Without a limit of its own, the
    limit is the memory of the machine.
    """

    service: str
    container: str
    used: int
    limit: int


def used_bytes(stats: Json) -> int:
    """The memory that the kernel cannot reclaim, which decides an out-of-memory kill, of `memory_stats`."""
    details = stats.get("stats") or {}
    names = RECLAIMABLE_FIELDS[1] if RECLAIMABLE_FIELDS[1][0] in details else RECLAIMABLE_FIELDS[0]
    return max(0, int(stats["usage"]) - sum(int(details.get(name, 0)) for name in names))


@dataclass(slots=True, eq=False)
class MemorySampler(Collector):
    """Samples the containers of one project; a collector of the Prometheus client."""

    engine: Engine
    project: str
    samples: tuple[ContainerMemory, ...] = field(default=(), init=False)

    async def run(self) -> None:
        """Sample until cancelled. While the engine cannot be reached there are no samples."""
        while True:
            try:
                self.samples = tuple(await self.sample())
            except (EngineError, EngineUnavailableError):
                self.samples = ()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def sample(self) -> list[ContainerMemory]:
        """The memory of each running container of the project."""
        found = []
        for one in await self.engine.running_containers(self.project):
            try:
                stats = await self.engine.memory_stats(one["Id"])
            except EngineError as error:
                if error.status not in {404, 409}:  # it exited between the two calls
                    raise
                continue
            if "usage" in stats:  # otherwise it has just exited
                found.append(_memory(one, stats))
        return found

    def collect(self) -> Iterable[Metric]:
        """The last samples."""
        used = GaugeMetricFamily(
            "tidegate_container_memory_bytes",
            "Memory of a container of the project, sampled every 5 s, without file cache that "
            "can be dropped.",
            labels=["service", "container"],
        )
        limit = GaugeMetricFamily(
            "tidegate_container_memory_limit_bytes",
            "Memory that the container may use; above it the kernel kills a process.",
            labels=["service", "container"],
        )
        for one in self.samples:
            used.add_metric([one.service, one.container], one.used)
            limit.add_metric([one.service, one.container], one.limit)
        return [used, limit]


def _memory(container: Json, stats: dict[str, Any]) -> ContainerMemory:
    return ContainerMemory(
        service=container["Labels"].get(SERVICE_LABEL, ""),
        container=container["Names"][0].removeprefix("/"),
        used=used_bytes(stats),
        limit=int(stats["limit"]),
    )
