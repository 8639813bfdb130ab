"""The record of each prediction: metrics, drift monitor, statistics and the fields of its event."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from time import time_ns
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter

from tidegate.monitoring.counting.model_metrics import ModelMonitor
from tidegate.service.model.features import Feature, Matrix, category_names
from tidegate.service.model.loaded_model import Model
from tidegate.telemetry import annotate


@dataclass(slots=True)
class Statistics:
    """Of the requests since the start: their time in the queue and in a slot, and the end of the last one."""

    batches: int = 0
    rows: int = 0
    queue_ns: int = 0
    slot_ns: int = 0
    last_unix_ms: int = 0


class PredictionRecorder:
    """Records predictions of a model; an event has the values of the features that `segments` names."""

    def __init__(self, registry: CollectorRegistry, segments: Sequence[str]) -> None:
        self.statistics: Final = Statistics()
        self.monitor: ModelMonitor | None = None
        self._registry = registry
        self._segments = segments
        self._predictions = Counter(
            "tidegate_predictions_total",
            "Predicted rows, by label.",
            ("model", "version", "label"),
            registry=registry,
        )
        self._counters: list[Counter] = []

    def open(self, model: Model, monitor: ModelMonitor) -> None:
        """Start with a loaded model."""
        # Created now, so that the series of each label starts at 0.
        of = (model.manifest.name, model.manifest.version)
        self._counters = [self._predictions.labels(*of, label) for label in model.task.labels]
        self._registry.register(monitor)
        self.monitor = monitor

    def record(self, model: Model, batch: Sized, prediction: Any) -> None:
        """Record the prediction of the rows of one request."""
        task = model.task
        counts = task.counts(prediction)
        for counter, count in zip(self._counters, counts, strict=True):
            if count:
                counter.inc(count)
        matrix = model.inputs.matrix(batch)
        if self.monitor is not None:
            self.monitor.observe(matrix, task.scores(prediction))
        self.statistics.batches += 1
        self.statistics.rows += len(batch)
        self.statistics.last_unix_ms = time_ns() // 1_000_000
        if fields := task.event_fields(prediction, counts):
            annotate(prediction=fields)
        if self._segments:
            annotate(segments=segments_of(model.inputs.features, self._segments, matrix))


def segments_of(
    features: Sequence[Feature], names: Sequence[str], matrix: Matrix
) -> dict[str, list[str | None]]:
    """The segments of a request: the values of the named features, one per row; None if missing.

    Only features of kind category have segments; other names are ignored.
    """
    return {
        feature.name: category_names(feature, matrix[:, position])
        for position, feature in enumerate(features)
        if feature.name in names and feature.kind == "category"
    }
