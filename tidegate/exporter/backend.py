"""The backends that the exporter reads at each scrape, concurrently and each within a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric

from tidegate.runtime.event_log import EventLog

ACTION: Final = "scrape-failed"


class BackendError(RuntimeError):
    """The backend cannot be read; the message is the reason."""


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


def log_failed(event_log: EventLog, source: str, reason: str) -> None:
    """Log that a source cannot be read, at the first of several failed scrapes."""
    event_log.condition(source, f"{source}: {reason}", action=ACTION, cause="failed")


def log_read(event_log: EventLog, source: str) -> None:
    """Log that a source can be read again, at the first scrape after a failed one."""
    event_log.resolved(source, f"{source}: available again", action=ACTION)


async def read_all(
    backends: Sequence[Backend], timeout_seconds: float, event_log: EventLog
) -> list[Metric]:
    """The metrics of the backends that respond in time, and for each backend whether it did."""
    results = await asyncio.gather(
        *(_read(backend, timeout_seconds, event_log) for backend in backends)
    )
    return [metric for metrics in results for metric in metrics]


async def _read(backend: Backend, timeout_seconds: float, event_log: EventLog) -> list[Metric]:
    try:
        async with asyncio.timeout(timeout_seconds):
            metrics = await backend.read()
    except TimeoutError:
        log_failed(event_log, backend.name, f"no response within {timeout_seconds:g} s")
    except BackendError as error:
        log_failed(event_log, backend.name, str(error))
    else:
        log_read(event_log, backend.name)
        return [_up(backend.name, 1), *metrics]
    return [_up(backend.name, 0)]


def _up(name: str, value: float) -> Metric:
    if name == "logstash":
        return GaugeMetricFamily(
            "tidegate_logstash_up", "Whether Logstash's monitoring API responds.", value
        )
    return GaugeMetricFamily(
        "tidegate_elasticsearch_up", "Whether Elasticsearch responds and accepts the login.", value
    )
