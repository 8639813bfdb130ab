"""Counters of outcomes, for each version of the model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.monitoring.feedback.outcomes import REASONS, Label, Outcome, Reason

LAG_EDGES: Final = (
    1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 345_600.0, 604_800.0,
)  # fmt: skip
# With more classes than this, a pair of labels has no series before its first outcome.
_MAX_PAIR_CLASSES: Final = 20
# If nothing scrapes the metrics, further outcomes are counted immediately.
_MAX_BUFFERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class _VersionMetrics:
    correct: Counter
    wrong: Counter
    error: Counter
    lag: Histogram


class OutcomeMetrics(Collector):
    """Counts outcomes of the served version, and of another version from its first outcome on.

    The first scrape of a version's series must return 0: for Prometheus a series that starts at 1000 has not
    increased, and labels often arrive a thousand at a time. Outcomes of a version without a scrape yet are
    buffered until the next scrape.

    Args:
        registry: the registry of the metrics.
        model: the model's name.
        version: the served version.
        classes: its classes, in order.
    """

    def __init__(
        self, registry: CollectorRegistry, model: str, version: str, classes: Sequence[Label]
    ) -> None:
        names = ("model", "version")
        self._model, self._classes = model, tuple(classes)
        self._outcomes = Counter(
            "ml_outcomes_total",
            "Accepted labels, by whether the prediction was correct.",
            (*names, "correct"),
            registry=registry,
        )
        self._pairs = Counter(
            "ml_outcome_labels_total",
            "Accepted labels, by the predicted and the actual label.",
            (*names, "predicted", "actual"),
            registry=registry,
        )
        self._error = Counter(
            "ml_outcome_squared_error_total",
            "Sum of (confidence - 1 if the prediction was correct, else 0)², for the Brier score.",
            names,
            registry=registry,
        )
        self._lag = Histogram(
            "ml_label_lag_seconds",
            "Time from a response to its label.",
            names,
            buckets=LAG_EDGES,
            registry=registry,
        )
        refused = Counter(
            "ml_feedback_refused_total",
            "Refused labels, by reason.",
            (*names, "reason"),
            registry=registry,
        )
        self._refused = {reason: refused.labels(model, version, reason) for reason in REASONS}
        self._versions = {version: self._create(version)}
        self._lock = threading.Lock()
        self._unscraped: set[str] = set()
        self._buffered: list[Outcome] = []
        registry.register(self)  # last, so that it is collected after the metrics above

    def count(self, outcome: Outcome) -> None:
        """Count an outcome under the version that made the prediction."""
        version = outcome.prediction.version
        with self._lock:
            if version not in self._versions:
                self._versions[version] = self._create(version)
                self._unscraped.add(version)
            if version in self._unscraped and len(self._buffered) < _MAX_BUFFERED:
                self._buffered.append(outcome)
                return
        self._add(outcome)

    def describe(self) -> list[Metric]:
        """This collector has no metrics of its own."""
        return []

    def collect(self) -> list[Metric]:
        """Count the buffered outcomes: all series have just been collected."""
        with self._lock:
            buffered, self._buffered = self._buffered, []
            self._unscraped.clear()
        for outcome in buffered:
            self._add(outcome)
        return []

    def refuse(self, reason: Reason) -> None:
        """Count a refused label."""
        self._refused[reason].inc()

    def _add(self, outcome: Outcome) -> None:
        version = outcome.prediction.version
        metrics = self._versions[version]
        (metrics.correct if outcome.correct else metrics.wrong).inc()
        self._pairs.labels(self._model, version, str(outcome.predicted), str(outcome.actual)).inc()
        metrics.error.inc((outcome.prediction.confidence - outcome.correct) ** 2)
        metrics.lag.observe(outcome.lag_seconds)

    def _create(self, version: str) -> _VersionMetrics:
        of = (self._model, version)
        if len(self._classes) <= _MAX_PAIR_CLASSES:
            for predicted in self._classes:
                for actual in self._classes:
                    self._pairs.labels(*of, str(predicted), str(actual))
        correct, wrong = (self._outcomes.labels(*of, value) for value in ("true", "false"))
        return _VersionMetrics(correct, wrong, self._error.labels(*of), self._lag.labels(*of))
