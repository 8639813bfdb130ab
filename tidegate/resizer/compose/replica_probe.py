"""Probes the replicas over a network that they share with the resizer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tidegate.resizer.compose.containers import Container
from tidegate.runtime.http_probe import Fetch
from tidegate.runtime.metrics_text import sample_value

PORT: Final = 8000
"""The port on which a replica listens in its container."""
PROBE_TIMEOUT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class ReplicaProbe:
    """Fetches the readiness and the load of replicas in the networks (ids) that the resizer is in, too.

    On the host, where `networks` is None, it reaches all of them.
    """

    fetch: Fetch
    networks: Collection[str] | None

    async def ready(self, containers: Sequence[Container]) -> set[str]:
        """The ids of the containers that are ready by Docker's health check or by their own `/ready`."""
        running = [one for one in containers if one.status == "running"]
        healthy = {one.id for one in running if one.health == "healthy"}
        others = [one for one in running if one.id not in healthy]
        responses = await asyncio.gather(*(self._fetch(one, "/ready") for one in others))
        pairs = zip(others, responses, strict=True)
        return healthy | {one.id for one, response in pairs if response is not None}

    async def loads(self, containers: Sequence[Container]) -> Mapping[str, float]:
        """The slots that each container uses. One whose metrics cannot be read counts as fully busy."""
        responses = await asyncio.gather(*(self._fetch(one, "/metrics") for one in containers))
        pairs = zip(containers, responses, strict=True)
        return {one.id: busy_slots(response or "") for one, response in pairs}

    async def _fetch(self, container: Container, path: str) -> str | None:
        for network, address in container.addresses.items():
            if self.networks is None or network in self.networks:
                return await self.fetch(f"http://{address}:{PORT}{path}", PROBE_TIMEOUT_SECONDS)
        return None


def busy_slots(metrics: str) -> float:
    """The slots in use, from a replica's metrics; infinity if they are missing."""
    busy = sample_value(metrics, "tidegate_slots_busy")
    return math.inf if busy is None or math.isnan(busy) else busy
