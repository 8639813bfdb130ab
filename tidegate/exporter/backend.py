"""The backends that the exporter reads at each scrape, concurrently and each within a time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import Metric

from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.secret_files import SecretFileError

ACTION: Final = "scrape-failed"


@dataclass(frozen=True, slots=True)
class Backend:
    """A component that the exporter reads metrics from.

    Attributes:
        name: in the log.
        up: the metric that says whether it responds, 1 or 0.
        read: its metrics now. Raises HttpError or SecretFileError if it cannot be read.
    """

    name: str
    up: Callable[[float], Metric]
    read: Callable[[], Awaitable[list[Metric]]]


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
    metrics, problem = [], ""
    try:
        async with asyncio.timeout(timeout_seconds):
            metrics = await backend.read()
    except TimeoutError:
        problem = f"no response within {timeout_seconds:g} s"
    except (HttpError, SecretFileError) as error:
        problem = str(error)
    if problem:
        log_failed(event_log, backend.name, problem)
    else:
        log_read(event_log, backend.name)
    return [backend.up(float(not problem)), *metrics]
