"""Metrics from Logstash's monitoring API. Its counters are reset by a restart, which rate() handles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegate.exporter.backend import BackendError
from tidegate.runtime.http_client import HttpClient, HttpError

# `events.<name>` of a pipeline.
STAGES: Final = ("in", "filtered", "out")
# `documents.<name>` of an Elasticsearch output. Duplicates (from a batch that was sent again) count as
# non-retryable failures; a retryable failure is counted at each try.
OUTCOMES: Final = ("successes", "non_retryable_failures", "retryable_failures", "dlq_routed")


class Logstash:
    """A Logstash, read through its monitoring API."""

    name = "logstash"

    def __init__(self, url: str):
        """Create it without a connection.

        Args:
            url: the URL of the monitoring API, such as http://logstash:9600.
        """
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def read(self) -> list[Metric]:
        """The metrics of its pipelines."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            stats = await HttpClient(self._session, self._url).get("/_node/stats/pipelines")
        except HttpError as error:
            raise BackendError(str(error)) from error
        return families(stats)

    async def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            await self._session.close()


def families(stats: object) -> list[Metric]:
    """The metrics of a response. Missing values are omitted.

    Args:
        stats: the JSON of `/_node/stats/pipelines`.

    Raises:
        BackendError: the response is invalid.
    """
    pipelines = _get(stats, "pipelines")
    if not isinstance(pipelines, dict):
        raise BackendError("the response of the monitoring API has no pipelines")
    return [
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_bytes", "Bytes in the queue.", labels=["pipeline"]
            ),
            pipelines,
            ("queue", "queue_size_in_bytes"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_capacity_bytes",
                "Maximum of bytes in the queue; a full queue accepts no events.",
                labels=["pipeline"],
            ),
            pipelines,
            ("queue", "max_queue_size_in_bytes"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_events", "Events in the queue.", labels=["pipeline"]
            ),
            pipelines,
            ("queue", "events_count"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_queue_backpressure",
                "Fraction of time in which inputs were blocked by a full queue, summed over the inputs.",
                labels=["pipeline"],
            ),
            pipelines,
            ("flow", "queue_backpressure", "current"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_dead_letter_queue_bytes",
                "Bytes in the dead letter queue; an empty queue has one byte for each of its files.",
                labels=["pipeline"],
            ),
            pipelines,
            ("dead_letter_queue", "queue_size_in_bytes"),
        ),
        _gauge(
            GaugeMetricFamily(
                "tidegate_logstash_dead_letter_queue_capacity_bytes",
                "Maximum of bytes in the dead letter queue; a full queue drops events.",
                labels=["pipeline"],
            ),
            pipelines,
            ("dead_letter_queue", "max_queue_size_in_bytes"),
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
        "Events that were lost because the dead letter queue was full.",
        labels=["pipeline"],
    )
    for pipeline, value in _values(pipelines, ("dead_letter_queue", "dropped_events")):
        family.add_metric([pipeline], value)
    return family


def _events(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_events_total",
        "Events received (in), filtered and sent (out).",
        labels=["pipeline", "stage"],
    )
    for stage in STAGES:
        for pipeline, value in _values(pipelines, ("events", stage)):
            family.add_metric([pipeline, stage], value)
    return family


def _documents(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_documents_total",
        "Documents sent to Elasticsearch: successes, non_retryable_failures (mostly "
        "duplicates sent a second time), retryable_failures (each attempt counts), "
        "dlq_routed (rejected).",
        labels=["pipeline", "output", "outcome"],
    )
    for pipeline, name, output in _outputs(pipelines):
        for outcome in OUTCOMES:
            # Logstash omits a counter until its first event; 0 lets rate() see that event.
            value = _number(_get(output, "documents", outcome))
            family.add_metric([pipeline, name, outcome], value or 0.0)
    return family


def _bulk_failures(pipelines: Mapping[str, Any]) -> Metric:
    family = CounterMetricFamily(
        "tidegate_logstash_bulk_failures_total",
        "Bulk requests that failed as a whole, by output; Logstash retries each until it succeeds.",
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
