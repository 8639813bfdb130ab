"""Counters of outcomes, for each version of the model."""

from __future__ import annotations

import threading
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.monitoring.feedback.outcomes import REASONS, Outcome, Reason, Truth

# Up to 1.5 to 2 times apart: the median of labels that take 68 s was 122 s with an edge at 60 s and 300 s.
LAG_EDGES: Final = (
    1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 180.0, 240.0, 300.0, 450.0, 600.0,
    900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 43_200.0, 86_400.0, 172_800.0, 259_200.0, 345_600.0,
    604_800.0,
)  # fmt: skip
# If nothing scrapes the metrics, further outcomes are counted immediately.
_MODEL: Final = ("model", "version")
_MAX_BUFFERED: Final = 20_000


class OutcomeMetrics(Collector):
    """Counts outcomes of the served version, and of another version from its first outcome on.

    The first scrape of a version's series must return 0: for Prometheus a series that starts at 1000 has not
    increased, and labels often arrive a thousand at a time. Outcomes of a version without a scrape yet are
    buffered until the next scrape.
    """

    def __init__(self, registry: CollectorRegistry, model: str, version: str, truth: Truth) -> None:
        self._model = model
        self._counters = {
            each.name: Counter(each.name, each.text, (*_MODEL, *each.labels), registry=registry)
            for each in truth.counters()
        }
        self._known = [(each.name, labels) for each in truth.counters() for labels in each.known]
        self._lag = Histogram(
            "ml_label_lag_seconds",
            "Time from a response to its label.",
            _MODEL,
            buckets=LAG_EDGES,
            registry=registry,
        )
        refused = Counter(
            "ml_feedback_refused_total",
            "Labels refused, by reason: malformed, forged, expired, replayed, foreign_version, "
            "unknown_label.",
            (*_MODEL, "reason"),
            registry=registry,
        )
        self._refused = {reason: refused.labels(model, version, reason) for reason in REASONS}
        self._versions: set[str] = set()
        self._create(version)
        self._lock = threading.Lock()
        self._unscraped: set[str] = set()
        self._buffered: list[Outcome] = []
        registry.register(self)  # last, so that it is collected after the metrics above

    def count(self, outcome: Outcome) -> None:
        """Count an outcome under the version that made the prediction."""
        version = outcome.prediction.version
        with self._lock:
            if version not in self._versions:
                self._create(version)
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
        of = (self._model, outcome.prediction.version)
        for name, (labels, amount) in outcome.counted.items():
            self._counters[name].labels(*of, *labels).inc(amount)
        self._lag.labels(*of).observe(outcome.lag_seconds)

    def _create(self, version: str) -> None:
        self._versions.add(version)
        of = (self._model, version)
        for name, labels in self._known:
            self._counters[name].labels(*of, *labels)
        self._lag.labels(*of)
