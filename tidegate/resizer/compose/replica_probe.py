"""Asking the replicas themselves, over a network that they share with the resizer."""

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
"""Where a replica listens in its container."""
ASK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The replicas, as far as they can be reached.

    Attributes:
        fetch: how a URL is read.
        networks: ids of the networks that the resizer is in; None if it is on the host itself, which
            is in all of them.
    """

    fetch: Fetch
    networks: Collection[str] | None

    async def ready(self, containers: Sequence[Container]) -> set[str]:
        """The ids of those that are ready: Docker's health check says so, or their own `/ready`."""
        healthy = {one.id for one in containers if _works(one) and one.health == "healthy"}
        others = [one for one in containers if _works(one) and one.id not in healthy]
        answers = await asyncio.gather(*(self._ask(one, "/ready") for one in others))
        pairs = zip(others, answers, strict=True)
        return healthy | {one.id for one, answer in pairs if answer is not None}

    async def loads(self, containers: Sequence[Container]) -> Mapping[str, float]:
        """The slots that each one uses. One that does not say counts as fully busy."""
        answers = await asyncio.gather(*(self._ask(one, "/metrics") for one in containers))
        return {
            one.id: busy_slots(answer or "")
            for one, answer in zip(containers, answers, strict=True)
        }

    async def _ask(self, container: Container, path: str) -> str | None:
        for network, address in container.addresses.items():
            if self.networks is None or network in self.networks:
                return await self.fetch(f"http://{address}:{PORT}{path}", ASK_SECONDS)
        return None


def busy_slots(metrics: str) -> float:
    """The slots in use, from a replica's metrics; infinity if they do not say."""
    busy = sample_value(metrics, "tidegate_slots_busy")
    return math.inf if busy is None or math.isnan(busy) else busy


def _works(container: Container) -> bool:
    return container.status == "running"
