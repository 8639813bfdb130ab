"""What labels say about a model, as counters: one set of them for each of its versions."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tidegate.drift.feedback.outcomes import REASONS, Label, Outcome, Reason

LAG_EDGES: Final = (
    1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0, 345_600.0, 604_800.0,
)  # fmt: skip
# With more classes than this, pairs of labels appear as they come, not from 0 on.
_MAX_PAIR_CLASSES: Final = 20
# Nobody may ever scrape: what comes beyond is counted at once.
_MAX_BUFFERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class _OfVersion:
    right: Counter
    wrong: Counter
    error: Counter
    lag: Histogram


class OutcomeMetrics(Collector):
    """What labels say about a model: about the version that is served, and about others once a label comes.

    Each version's series are shown at 0 first. To Prometheus a series that begins at 1000 has not grown, and
    labels like to come a thousand at a time: those of a version that was not shown yet wait for the scrape.

    Args:
        registry: where it is shown.
        model: the model's name.
        version: the version that is served.
        classes: its classes, in their order.
    """

    def __init__(
        self, registry: CollectorRegistry, model: str, version: str, classes: Sequence[Label]
    ) -> None:
        names = ("model", "version")
        self._model, self._classes = model, tuple(classes)
        self._outcomes = Counter(
            "ml_outcomes_total",
            "Labels taken, by whether the answer was right.",
            (*names, "correct"),
            registry=registry,
        )
        self._pairs = Counter(
            "ml_outcome_labels_total",
            "Labels taken, by what was answered and what was true.",
            (*names, "predicted", "actual"),
            registry=registry,
        )
        self._error = Counter(
            "ml_outcome_squared_error_total",
            "Sum of (probability of the label given - 1 if it was right, else 0)², for the Brier score.",
            names,
            registry=registry,
        )
        self._lag = Histogram(
            "ml_label_lag_seconds",
            "Time from an answer to its label.",
            names,
            buckets=LAG_EDGES,
            registry=registry,
        )
        refused = Counter(
            "ml_feedback_refused_total",
            "Labels refused, by the reason.",
            (*names, "reason"),
            registry=registry,
        )
        self._refused = {reason: refused.labels(model, version, reason) for reason in REASONS}
        self._versions = {version: self._begin(version)}
        self._lock = threading.Lock()
        self._new: set[str] = set()
        self._waiting: list[Outcome] = []
        registry.register(self)  # after what it waits for, so that it is asked last

    def count(self, outcome: Outcome) -> None:
        """Count a label that was taken, under the version that its prediction is of."""
        version = outcome.prediction.version
        with self._lock:
            if version not in self._versions:
                self._versions[version] = self._begin(version)
                self._new.add(version)
            if version in self._new and len(self._waiting) < _MAX_BUFFERED:
                self._waiting.append(outcome)
                return
        self._add(outcome)

    def describe(self) -> list[Metric]:
        """It has no metrics of its own."""
        return []

    def collect(self) -> list[Metric]:
        """All series have just been shown: what waited for that is counted now."""
        with self._lock:
            waited, self._waiting = self._waiting, []
            self._new.clear()
        for outcome in waited:
            self._add(outcome)
        return []

    def refuse(self, reason: Reason) -> None:
        """Count one that was not."""
        self._refused[reason].inc()

    def _add(self, outcome: Outcome) -> None:
        version = outcome.prediction.version
        of = self._versions[version]
        (of.right if outcome.correct else of.wrong).inc()
        self._pairs.labels(self._model, version, str(outcome.predicted), str(outcome.actual)).inc()
        of.error.inc((outcome.prediction.confidence - outcome.correct) ** 2)
        of.lag.observe(outcome.lag_seconds)

    def _begin(self, version: str) -> _OfVersion:
        of = (self._model, version)
        if len(self._classes) <= _MAX_PAIR_CLASSES:
            for given in self._classes:
                for true in self._classes:
                    self._pairs.labels(*of, str(given), str(true))
        right, wrong = (self._outcomes.labels(*of, word) for word in ("true", "false"))
        return _OfVersion(right, wrong, self._error.labels(*of), self._lag.labels(*of))
