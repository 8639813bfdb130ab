"""Logstash's monitoring API as metrics. Its counters begin anew when it restarts, as rate() expects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegate.exporter.backend import BackendError
from tidegate.os_errors import connection_error_message

# `events.<name>` of a pipeline.
STAGES: Final = ("in", "filtered", "out")
# `documents.<name>` of an Elasticsearch output. Those that were there already (a batch that was sent again)
# count among the failures that are not tried again; one that is tried again counts at each try.
OUTCOMES: Final = ("successes", "non_retryable_failures", "retryable_failures", "dlq_routed")


class Logstash:
    """A Logstash, by its monitoring API."""

    name = "logstash"

    def __init__(self, url: str):
        """Ask nothing yet.

        Args:
            url: of its monitoring API, such as http://logstash:9600.
        """
        self._url = f"{url.rstrip('/')}/_node/stats/pipelines"
        self._session: aiohttp.ClientSession | None = None

    async def read(self) -> list[Metric]:
        """Its pipelines' numbers."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with self._session.get(self._url) as answer:
                if answer.status != 200:
                    raise BackendError(f"{self._url} answers {answer.status}")
                stats = await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise BackendError(
                f"{self._url} cannot be read: {connection_error_message(error)}"
            ) from error
        return families(stats)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._session is not None:
            await self._session.close()


def families(stats: object) -> list[Metric]:
    """The metrics of an answer. What it lacks is left out.

    Args:
        stats: the JSON of `/_node/stats/pipelines`.

    Raises:
        BackendError: it is no such answer.
    """
    pipelines = _get(stats, "pipelines")
    if not isinstance(pipelines, dict):
        raise BackendError("the answer of the monitoring API holds no pipelines")
    return [
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_bytes", "Bytes in its queue.", labels=["pipeline"]
            ),
            pipelines,
            ("queue", "queue_size_in_bytes"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_capacity_bytes",
                "Bytes that its queue may hold; then it takes no more.",
                labels=["pipeline"],
            ),
            pipelines,
            ("queue", "max_queue_size_in_bytes"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_events", "Events in its queue.", labels=["pipeline"]
            ),
            pipelines,
            ("queue", "events_count"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_backpressure",
                "Share of time in which the inputs waited for room in the queue, times their number.",
                labels=["pipeline"],
            ),
            pipelines,
            ("flow", "queue_backpressure", "current"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_dead_letter_queue_bytes",
                "Bytes in its dead letter queue; an empty one has one for each of its files.",
                labels=["pipeline"],
            ),
            pipelines,
            ("dead_letter_queue", "queue_size_in_bytes"),
        ),
        _dropped(pipelines),
        _events(pipelines),
        _documents(pipelines),
        _bulk_failures(pipelines),
        _bulk_responses(pipelines),
    ]


def _gauge(
    family: GaugeMetricFamily, pipelines: Mapping[str, Any], path: tuple[str, ...]
) -> Metric:
    for pipeline, value in _values(pipelines, path):
        family.add_metric([pipeline], value)
    return family


def _dropped(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_dead_letters_dropped_total",
        "Events that the dead letter queue had no room for: they are lost.",
        labels=["pipeline"],
    )
    for pipeline, value in _values(pipelines, ("dead_letter_queue", "dropped_events")):
        family.add_metric([pipeline], value)
    return family


def _events(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_events_total",
        "Events that came in, were filtered, went out.",
        labels=["pipeline", "stage"],
    )
    for stage in STAGES:
        for pipeline, value in _values(pipelines, ("events", stage)):
            family.add_metric([pipeline, stage], value)
    return family


def _documents(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_documents_total",
        "What became of the documents given to Elasticsearch, by output.",
        labels=["pipeline", "output", "outcome"],
    )
    for pipeline, name, output in _outputs(pipelines):
        for outcome in OUTCOMES:
            # It counts from the first on; a counter that begins at 1 would hide that one.
            value = _number(_get(output, "documents", outcome))
            family.add_metric([pipeline, name, outcome], value or 0.0)
    return family


def _bulk_failures(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_bulk_failures_total",
        "Bulk requests that failed as a whole, by output; Logstash repeats each until it succeeds.",
        labels=["pipeline", "output"],
    )
    for pipeline, name, output in _outputs(pipelines):
        value = _number(_get(output, "bulk_requests", "failures"))
        family.add_metric([pipeline, name], value or 0.0)
    return family


def _bulk_responses(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_bulk_responses_total",
        "Elasticsearch's responses to bulk requests, by output and HTTP status.",
        labels=["pipeline", "output", "code"],
    )
    for pipeline, name, output in _outputs(pipelines):
        responses = _get(output, "bulk_requests", "responses")
        for code, count in responses.items() if isinstance(responses, dict) else ():
            if (value := _number(count)) is not None:
                family.add_metric([pipeline, name, str(code)], value)
    return family


def _outputs(pipelines: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    """Each Elasticsearch output: its pipeline, its id, its statistics."""
    for pipeline, stats in pipelines.items():
        outputs = _get(stats, "plugins", "outputs")
        for output in outputs if isinstance(outputs, list) else ():
            if _get(output, "name") == "elasticsearch":
                yield pipeline, str(_get(output, "id")), output


def _values(pipelines: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    for pipeline, stats in pipelines.items():
        value = _number(_get(stats, *path))
        if value is not None:
            yield pipeline, value


def _get(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
