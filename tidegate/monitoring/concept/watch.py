"""The watcher of labels: feeds outcome events to detectors, and reports changes of the error rate.

An error is a wrong label; for a regressor it is a true value outside the predicted interval.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from tidegate.events.event import Event
from tidegate.monitoring.concept.detectors import Adwin, Change, Detector, ZTest
from tidegate.monitoring.feedback.recent_ids import RecentIds
from tidegate.monitoring.tasks.registry import TASKS
from tidegate.settings import Drift
from tidegate.store.query import time_ranges

QUERY: Final = "event.dataset:tidegate.outcome"
MAX_RECENT_IDS: Final = 100_000
"""Ids of recent labels, to skip repetitions: ids of Elasticsearch are unique only within one backing index,
and a label may be sent again after a rollover."""
_MODEL: Final = ("model", "version")

Version = tuple[str, str]


class WatcherMetrics:
    """The watcher's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.outcomes = Counter(
            "tidegate_watch_outcomes_total",
            "Labels read from the store, without repetitions.",
            _MODEL,
            registry=self.registry,
        )
        self.changes = Counter(
            "tidegate_watch_changes_total",
            "Changes of the error rate found by a detector.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.changed_at = Gauge(
            "tidegate_watch_change_timestamp_seconds",
            "Arrival time of the label that showed the detector's last change, in seconds since 1970.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.error_ratio = Gauge(
            "tidegate_watch_error_ratio",
            "The current error rate of a detector.",
            (*_MODEL, "detector"),
            registry=self.registry,
        )
        self.z = Gauge(
            "tidegate_watch_error_z",
            "Standard deviations by which the newest labels' error rate is above that of the held-out rows.",
            _MODEL,
            registry=self.registry,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """An outcome event."""

    model: Version
    wrong: bool
    held_out: float | None
    """The rate without errors on held-out rows; None if unknown."""
    at_us: int
    """The time at which the label arrived, in microseconds since 1970."""
    event_id: str
    error: str
    """What the rate of errors is called."""


@dataclass(frozen=True, slots=True)
class ErrorRateChange:
    """A change of the error rate of a version, and the label that showed it."""

    shown_by: Outcome
    detector: str
    change: Change
    labels: int
    """The number of labels of this version so far."""

    @property
    def event_id(self) -> str:
        """The same for the same outcomes, so that a restarted watcher does not report a change twice."""
        key = f"{self.detector}:{self.shown_by.event_id}".encode()
        return hashlib.sha256(key).hexdigest()[:32]

    @property
    def message(self) -> str:
        """The message of the event."""
        before, after = (f"{100 * rate:.1f} %" for rate in (self.change.before, self.change.after))
        name, version = self.shown_by.model
        return (
            f"{self.shown_by.error} of {name} {version} changed from {before} to {after} "
            f"(detector {self.detector})"
        )

    def fields(self) -> dict[str, Any]:
        """The fields of its event."""
        name, version = self.shown_by.model
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


@dataclass(slots=True)
class _VersionState:
    detectors: list[Detector]
    has_z_test: bool = False
    labels: int = 0


@dataclass(slots=True)
class Watcher:
    """Feeds each outcome once to the detectors of its version.

    ADWIN reads a version's labels from the first one on, and the z-test from the first one that has the
    version's accuracy, or the coverage of its interval, on held-out rows.
    """

    drift: Drift
    metrics: WatcherMetrics
    _versions: dict[Version, _VersionState] = field(default_factory=dict)
    _recent_ids: RecentIds = field(default_factory=lambda: RecentIds(MAX_RECENT_IDS))

    def feed(self, events: Iterable[Event]) -> Iterator[ErrorRateChange]:
        """The changes that these outcomes show, oldest first; other events are skipped."""
        for event in events:
            outcome = _read(event)
            if outcome is None or not self._recent_ids.add(outcome.event_id):
                continue
            model = outcome.model
            state = self._state(outcome)
            state.labels += 1
            self.metrics.outcomes.labels(*model).inc()
            for detector in state.detectors:
                change = detector.update(outcome.wrong)
                self._set_gauges(model, detector)
                if change is not None:
                    of = (*model, detector.name)
                    self.metrics.changes.labels(*of).inc()
                    self.metrics.changed_at.labels(*of).set(outcome.at_us / 1e6)
                    yield ErrorRateChange(outcome, detector.name, change, state.labels)

    def _state(self, outcome: Outcome) -> _VersionState:
        state = self._versions.get(outcome.model)
        if state is None:
            state = self._versions[outcome.model] = _VersionState([])
            self._add(outcome.model, state, Adwin())
        if not state.has_z_test and outcome.held_out is not None:
            limit, window = self.drift.error_z, self.drift.outcomes
            test = ZTest(1 - outcome.held_out, limit=limit, window=window)
            self._add(outcome.model, state, test)
            state.has_z_test = True
        return state

    def _add(self, model: Version, state: _VersionState, detector: Detector) -> None:
        state.detectors.append(detector)
        self.metrics.changes.labels(*model, detector.name)  # create the series at 0

    def _set_gauges(self, model: Version, detector: Detector) -> None:
        self.metrics.error_ratio.labels(*model, detector.name).set(detector.error_rate)
        if isinstance(detector, ZTest):
            self.metrics.z.labels(*model).set(detector.z)


def _read(event: Mapping[str, Any]) -> Outcome | None:
    try:
        fields = event["tidegate"]
        outcome = fields["outcome"]
        at_us = time_ranges.microseconds(event["@timestamp"])
        if at_us is None:
            return None
        task = next((each for each in TASKS.values() if each.right in outcome), None)
        if task is None:  # a regressor without an interval
            return None
        held_out = outcome.get(task.right_held_out)
        return Outcome(
            (str(fields["model"]["name"]), str(fields["model"]["version"])),
            outcome[task.right] is False,
            held_out if isinstance(held_out, float) and 0 <= held_out <= 1 else None,
            at_us,
            str(event["event"]["id"]),
            task.wrong_name,
        )
    except (AttributeError, KeyError, TypeError):
        return None
