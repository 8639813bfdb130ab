"""Metrics from Logstash's monitoring API. Its counters are reset by a restart, which rate() handles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tidegate.runtime.http_client import HttpClient, HttpError


@dataclass(frozen=True, slots=True)
class PipelineGauge:
    """A gauge of each pipeline: its name, its description, and where the statistics have its value."""

    name: str
    text: str
    path: tuple[str, ...]


GAUGES: Final = (
    PipelineGauge(
        "tidegate_logstash_queue_bytes", "Bytes in the queue.", ("queue", "queue_size_in_bytes")
    ),
    PipelineGauge(
        "tidegate_logstash_queue_capacity_bytes",
        "Maximum of bytes in the queue; a full queue accepts no events.",
        ("queue", "max_queue_size_in_bytes"),
    ),
    PipelineGauge(
        "tidegate_logstash_queue_events", "Events in the queue.", ("queue", "events_count")
    ),
    PipelineGauge(
        "tidegate_logstash_queue_backpressure",
        "Fraction of time in which inputs were blocked by a full queue, summed over the inputs.",
        ("flow", "queue_backpressure", "current"),
    ),
    PipelineGauge(
        "tidegate_logstash_dead_letter_queue_bytes",
        "Bytes in the dead letter queue; an empty queue has one byte for each of its files.",
        ("dead_letter_queue", "queue_size_in_bytes"),
    ),
    PipelineGauge(
        "tidegate_logstash_dead_letter_queue_capacity_bytes",
        "Maximum of bytes in the dead letter queue; a full queue drops events.",
        ("dead_letter_queue", "max_queue_size_in_bytes"),
    ),
)
# `events.<name>` of a pipeline.
STAGES: Final = ("in", "filtered", "out")
# `documents.<name>` of an Elasticsearch output. Duplicates (from a batch that was sent again) count as
# non-retryable failures; a retryable failure is counted at each try.
OUTCOMES: Final = ("successes", "non_retryable_failures", "retryable_failures", "dlq_routed")

Values = Iterable[tuple[tuple[str, ...], float]]
"""Values with those of their labels."""


def up(value: float) -> Metric:
    """Whether it responds."""
    return GaugeMetricFamily(
        "tidegate_logstash_up", "Whether Logstash's monitoring API responds.", value
    )


async def read_logstash(url: str, session: aiohttp.ClientSession) -> list[Metric]:
    """The metrics of the pipelines of the Logstash with this monitoring API, such as http://logstash:9600.

    Raises:
        HttpError: it does not respond, or with something else.
    """
    return families(await HttpClient(session, url).get("/_node/stats/pipelines"))


def families(stats: object) -> list[Metric]:
    """The metrics of a response. Missing values are omitted.

    Args:
        stats: the JSON of `/_node/stats/pipelines`.

    Raises:
        HttpError: the response is invalid.
    """
    pipelines = _get(stats, "pipelines")
    if not isinstance(pipelines, dict):
        raise HttpError("the response of the monitoring API has no pipelines")
    outputs = list(_outputs(pipelines))
    gauges = [
        _filled(
            GaugeMetricFamily(one.name, one.text, labels=["pipeline"]),
            _values(pipelines, one.path),
        )
        for one in GAUGES
    ]
    return [
        *gauges,
        _filled(
            CounterMetricFamily(
                "tidegate_logstash_dead_letters_dropped_total",
                "Events that were lost because the dead letter queue was full.",
                labels=["pipeline"],
            ),
            _values(pipelines, ("dead_letter_queue", "dropped_events")),
        ),
        _filled(
            CounterMetricFamily(
                "tidegate_logstash_events_total",
                "Events received (in), filtered and sent (out).",
                labels=["pipeline", "stage"],
            ),
            (
                ((*labels, stage), value)
                for stage in STAGES
                for labels, value in _values(pipelines, ("events", stage))
            ),
        ),
        _filled(
            CounterMetricFamily(
                "tidegate_logstash_documents_total",
                "Documents sent to Elasticsearch: successes, non_retryable_failures (mostly "
                "duplicates sent a second time), retryable_failures (each attempt counts), "
                "dlq_routed (rejected).",
                labels=["pipeline", "output", "outcome"],
            ),
            (
                # Logstash omits a counter until its first event; 0 lets rate() see that event.
                ((*labels, outcome), _number(_get(output, "documents", outcome)) or 0.0)
                for labels, output in outputs
                for outcome in OUTCOMES
            ),
        ),
        _filled(
            CounterMetricFamily(
                "tidegate_logstash_bulk_failures_total",
                "Bulk requests that failed as a whole, by output; Logstash retries each until it succeeds.",
                labels=["pipeline", "output"],
            ),
            (
                (labels, _number(_get(output, "bulk_requests", "failures")) or 0.0)
                for labels, output in outputs
            ),
        ),
        _filled(
            CounterMetricFamily(
                "tidegate_logstash_bulk_responses_total",
                "Elasticsearch's responses to bulk requests, by output and HTTP status.",
                labels=["pipeline", "output", "code"],
            ),
            (
                ((*labels, str(code)), value)
                for labels, output in outputs
                for code, number in _items(_get(output, "bulk_requests", "responses"))
                if (value := _number(number)) is not None
            ),
        ),
    ]


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: Values) -> Metric:
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _outputs(pipelines: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], object]]:
    """Each Elasticsearch output: its pipeline and its id, its statistics."""
    for pipeline, stats in pipelines.items():
        outputs = _get(stats, "plugins", "outputs")
        for output in outputs if isinstance(outputs, list) else ():
            if _get(output, "name") == "elasticsearch":
                yield (pipeline, str(_get(output, "id"))), output


def _values(pipelines: Mapping[str, Any], path: tuple[str, ...]) -> Values:
    for pipeline, stats in pipelines.items():
        value = _number(_get(stats, *path))
        if value is not None:
            yield (pipeline,), value


def _get(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _items(value: object) -> Iterable[tuple[object, object]]:
    return value.items() if isinstance(value, dict) else ()


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
