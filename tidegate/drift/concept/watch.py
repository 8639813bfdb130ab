"""Watches the error rate: reads outcome events from the store in their order, and tells of changes."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from tidegate.drift.concept.detectors import Adwin, Change, Detector, ZTest
from tidegate.events.event import Event
from tidegate.settings import Drift
from tidegate.store.query import time_ranges

QUERY: Final = "event.dataset:tidegate.outcome"
REMEMBERED: Final = 100_000
"""Ids of labels that are kept in mind, to feed none twice: 8 MiB of them."""
_MODEL: Final = ("model", "version")

Model = tuple[str, str]


class Metrics:
    """What the watcher tells Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.outcomes = Counter(
            "tidegate_watch_outcomes_total",
            "Labels read from the store, each once.",
            _MODEL,
            registry=self.registry,
        )
        self.changes = Counter(
            "tidegate_watch_changes_total",
            "Changes of the error rate that a detector found.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.changed_at = Gauge(
            "tidegate_watch_change_timestamp_seconds",
            "When the label arrived that showed a detector the last change, in seconds since 1970.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.error_ratio = Gauge(
            "tidegate_watch_error_ratio",
            "The error rate as a detector sees it.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.z = Gauge(
            "tidegate_watch_error_z",
            "Standard deviations of the newest labels' error rate above the held-out rows'.",
            _MODEL,
            registry=self.registry,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A change, and what is to be said of it.

    Attributes:
        model: name and version.
        detector: which found it.
        change: from where to where.
        labels: how many labels of this version were read so far.
        at_us: when the label arrived that showed it, in microseconds since 1970.
        event_id: the same for the same outcomes, so that a watcher that starts anew does not tell twice.
    """

    model: Model
    detector: str
    change: Change
    labels: int
    at_us: int
    event_id: str

    @property
    def message(self) -> str:
        """A sentence for a person."""
        before, after = (f"{100 * rate:.1f} %" for rate in (self.change.before, self.change.after))
        name, version = self.model
        return f"the error rate of {name} {version} went from {before} to {after}, says {self.detector}"

    def fields(self) -> dict[str, Any]:
        """The fields of its event."""
        name, version = self.model
        return {
            "event": {"action": "change"},
            "tidegate": {
                "model": {"name": name, "version": version},
                "drift": {
                    "detector": self.detector,
                    "error_before": round(self.change.before, 6),
                    "error_after": round(self.change.after, 6),
                    "labels": self.labels,
                },
            },
        }


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What of an outcome's event is looked at; `accuracy`, that on held-out rows, may be untold."""

    model: Model
    wrong: bool
    accuracy: float | None
    at_us: int
    event_id: str


@dataclass(slots=True)
class _Watched:
    detectors: list[Detector]
    tested: bool = False
    labels: int = 0


class Remembered:
    """The newest ids, of which each is taken once.

    A store may hold an event twice: Elasticsearch tells by the id only within one backing index, and a label
    may be sent again after it has begun the next. Kept are hashes of 64 bits, as they take half the memory of
    the ids: that one of 100,000 others has a new id's hash has a probability of 5·10⁻¹⁵.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def take(self, name: str) -> bool:
        """Whether an id is not among those remembered; from now on it is."""
        key = hash(name)
        if key in self._known:
            return False
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > self._most:
            self._known.remove(self._order.popleft())
        return True


@dataclass(slots=True)
class Watcher:
    """Feeds each outcome to the detectors of its model's version, once.

    A version is watched by ADWIN from its first label on, and by the z-test from the first one on that tells
    the version's accuracy on held-out rows.

    Attributes:
        drift: the thresholds.
        metrics: where to count.
    """

    drift: Drift
    metrics: Metrics
    _watched: dict[Model, _Watched] = field(default_factory=dict)
    _remembered: Remembered = field(default_factory=Remembered)

    def feed(self, events: Iterable[Event]) -> Iterator[Found]:
        """The changes that these outcomes show, oldest first; what is no outcome is passed over."""
        for event in events:
            outcome = _read(event)
            if outcome is None or not self._remembered.take(outcome.event_id):
                continue
            model = outcome.model
            watched = self._of(outcome)
            watched.labels += 1
            self.metrics.outcomes.labels(*model).inc()
            for detector in watched.detectors:
                change = detector.update(outcome.wrong)
                self._show(model, detector)
                if change is not None:
                    of = (*model, detector.name)
                    self.metrics.changes.labels(*of).inc()
                    self.metrics.changed_at.labels(*of).set(outcome.at_us / 1e6)
                    named = f"{detector.name}:{outcome.event_id}".encode()
                    event_id = hashlib.sha256(named).hexdigest()[:32]
                    yield Found(
                        model, detector.name, change, watched.labels, outcome.at_us, event_id
                    )

    def _of(self, outcome: _Outcome) -> _Watched:
        watched = self._watched.get(outcome.model)
        if watched is None:
            watched = self._watched[outcome.model] = _Watched([])
            self._add(outcome.model, watched, Adwin())
        if not watched.tested and outcome.accuracy is not None:
            limit, newest = self.drift.error_z, self.drift.outcomes
            test = ZTest(1 - outcome.accuracy, limit=limit, newest=newest)
            self._add(outcome.model, watched, test)
            watched.tested = True
        return watched

    def _add(self, model: Model, watched: _Watched, detector: Detector) -> None:
        watched.detectors.append(detector)
        self.metrics.changes.labels(*model, detector.name)  # there from 0 on

    def _show(self, model: Model, detector: Detector) -> None:
        self.metrics.error_ratio.labels(*model, detector.name).set(detector.error_rate)
        if isinstance(detector, ZTest):
            self.metrics.z.labels(*model).set(detector.z)


def _read(event: Mapping[str, Any]) -> _Outcome | None:
    try:
        told = event["tidegate"]
        accuracy = told["outcome"].get("accuracy")
        at_us = time_ranges.microseconds(event["@timestamp"])
        if at_us is None:
            return None
        return _Outcome(
            (str(told["model"]["name"]), str(told["model"]["version"])),
            told["outcome"]["correct"] is False,
            accuracy if isinstance(accuracy, float) and 0 <= accuracy <= 1 else None,
            at_us,
            str(event["event"]["id"]),
        )
    except (AttributeError, KeyError, TypeError):
        return None
