"""The alerts that must fire: drift that is critical in the sent rows clearly longer than the rules need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.demos.flights_year.ground_truth import GroundTruth, Subject
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.rules.drift_rules import SECONDS

STEP_SECONDS: Final = 5.0
"""Time between two looks at the rows: the evaluation interval of the alerts."""
DELAY_SECONDS: Final = 25.0
"""Age of the samples that an alert is about: a scrape, the interval of the rules, that of the alert."""
MARGIN_SECONDS: Final = 20.0
"""Drift must last this much longer than the rules need: a busy machine evaluates them late."""


@dataclass(frozen=True, slots=True)
class ExpectedAlert:
    """A time in which an alert must start to fire, or keep firing.

    Attributes:
        subject: the alert's name, and the feature that it is about.
        window: the rules' window over which the rows have drifted.
        begin: when they had drifted first, in seconds since 1970.
        end: when they had drifted last, or the end of the replay.
        index: the largest PSI in that time.
    """

    subject: Subject
    window: str
    begin: float
    end: float
    index: float

    def __str__(self) -> str:
        alert, feature = self.subject
        lasted = f"PSI up to {self.index:.2f} over {self.window} for {self.end - self.begin:.0f} s"
        return f"{alert} {feature or 'about the model'} ({lasted})"

    def fired_in(self, alerts: Iterable[FiredAlert]) -> bool:
        """Whether one of these alerts is the expected one."""
        return any(
            (alert.name, alert.subject) == self.subject
            and alert.begin <= self.end + DELAY_SECONDS
            and alert.end >= self.begin
            for alert in alerts
        )


def expected_alerts(
    truth: GroundTruth, *, begin: float, end: float, hold_seconds: float
) -> list[ExpectedAlert]:
    """The alerts that must fire between two times, each once for each window that shows the drift.

    Args:
        truth: the rows that were sent.
        begin: in seconds since 1970.
        end: in seconds since 1970.
        hold_seconds: how long drift must last before an alert fires.
    """
    times = np.arange(begin, end, STEP_SECONDS).tolist()
    return [
        expected
        for window in SECONDS
        for expected in _episodes(truth, window, times)
        if expected.end - expected.begin >= hold_seconds + DELAY_SECONDS + MARGIN_SECONDS
    ]


def missing(expected: Sequence[ExpectedAlert], alerts: Iterable[FiredAlert]) -> list[ExpectedAlert]:
    """The expected alerts that did not fire, the first one of each subject."""
    fired, found = list(alerts), dict[Subject, ExpectedAlert]()
    for each in expected:
        if not each.fired_in(fired):
            found.setdefault(each.subject, each)
    return list(found.values())


def _episodes(truth: GroundTruth, window: str, times: Sequence[float]) -> Iterator[ExpectedAlert]:
    seen: dict[Subject, list[tuple[float, float]]] = defaultdict(list)
    for at in times:
        for subject, index in truth.critical_drift(window, at).items():
            seen[subject].append((at, index))
    for subject, found in seen.items():
        at_times, indices = np.array(found).T
        cuts = np.flatnonzero(np.diff(at_times) > 1.5 * STEP_SECONDS) + 1
        for part in np.split(np.arange(len(at_times)), cuts):
            begin, end = float(at_times[part[0]]), float(at_times[part[-1]])
            yield ExpectedAlert(subject, window, begin, end, float(indices[part].max()))
