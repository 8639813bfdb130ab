"""The backends that the exporter reads at each scrape, concurrently and each within a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.runtime.event_log import EventLog

ACTION: Final = "scrape-failed"


class BackendError(RuntimeError):
    """The backend cannot be read. The text says why."""


class Backend(Protocol):
    """A component that the exporter reads metrics from."""

    name: str

    async def read(self) -> list[Metric]:
        """Its metrics now.

        Raises:
            BackendError: it cannot be read.
        """
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


def log_failed(event_log: EventLog, what: str, reason: str) -> None:
    """Log that something cannot be read, at the first of several scrapes."""
    event_log.condition(what, f"{what}: {reason}", action=ACTION, cause="failed")


def log_read(event_log: EventLog, what: str) -> None:
    """Log that it can be read again, if it could not."""
    event_log.resolved(what, f"{what}: answers again", action=ACTION)


async def read_all(
    backends: Sequence[Backend], timeout_seconds: float, event_log: EventLog
) -> list[Metric]:
    """The metrics of the backends that answer in time, and for each backend whether it did."""
    answers = await asyncio.gather(
        *(_read(backend, timeout_seconds, event_log) for backend in backends)
    )
    return [metric for metrics in answers for metric in metrics]


async def _read(backend: Backend, timeout_seconds: float, event_log: EventLog) -> list[Metric]:
    try:
        async with asyncio.timeout(timeout_seconds):
            metrics = await backend.read()
    except TimeoutError:
        log_failed(event_log, backend.name, f"gives no answer within {timeout_seconds:g} s")
    except BackendError as error:
        log_failed(event_log, backend.name, str(error))
    else:
        log_read(event_log, backend.name)
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
