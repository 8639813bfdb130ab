"""What the exporter asks at each scrape, each on its own and none longer than it may."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.runtime.terminal_output import write_or_discard


class BackendError(RuntimeError):
    """The backend cannot be asked. Its text says why, in a sentence."""


class Backend(Protocol):
    """A peer with numbers of its own."""

    name: str

    async def read(self) -> list[Metric]:
        """Its numbers now.

        Raises:
            BackendError: it cannot be asked.
        """
        ...

    async def close(self) -> None:
        """Let go of its connections."""
        ...


@dataclass(slots=True)
class Tellings:
    """Says a trouble once when it begins and once when it ends, not at each scrape."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    _told: dict[str, str] = field(default_factory=dict, init=False)

    def trouble(self, about: str, reason: str) -> None:
        """It is so now."""
        if about not in self._told:
            self._say(f"{about}: {reason}")
        self._told[about] = reason

    def fine(self, about: str) -> None:
        """It is no longer so."""
        if self._told.pop(about, None) is not None:
            self._say(f"{about}: answers again")

    def _say(self, text: str) -> None:
        write_or_discard(self.stream, f"exporter: {text}\n")


async def read_all(
    backends: Sequence[Backend], timeout_seconds: float, tellings: Tellings
) -> list[Metric]:
    """The numbers of all that answer in time, and of each whether it did."""
    answers = await asyncio.gather(
        *(_read(backend, timeout_seconds, tellings) for backend in backends)
    )
    return [metric for metrics in answers for metric in metrics]


async def _read(backend: Backend, timeout_seconds: float, tellings: Tellings) -> list[Metric]:
    try:
        async with asyncio.timeout(timeout_seconds):
            metrics = await backend.read()
    except TimeoutError:
        tellings.trouble(backend.name, f"gives no answer within {timeout_seconds:g} s")
    except BackendError as error:
        tellings.trouble(backend.name, str(error))
    else:
        tellings.fine(backend.name)
        return [_up(backend.name, 1), *metrics]
    return [_up(backend.name, 0)]


def _up(name: str, value: float) -> Metric:
    if name == "logstash":
        return GaugeMetricFamily(
            "tidegate_logstash_up", "Whether Logstash's monitoring API answers.", value
        )
    return GaugeMetricFamily(
        "tidegate_elasticsearch_up", "Whether Elasticsearch answers and lets us in.", value
    )
