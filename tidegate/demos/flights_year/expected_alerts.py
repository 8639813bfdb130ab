"""The alerts that had to fire: drift that numpy finds critical for clearly longer than the rules wait.

That each alert which fired is explained says nothing of rules that fire none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.demos.flights_year.ground_truth import LATE, Subject, Truth
from tidegate.drift.report.alerts import Fired
from tidegate.rules.drift_alerts import TIERS

STEP_SECONDS: Final = 5.0
"""How often the rows are looked at: as often as alerts are evaluated."""
SPARE_SECONDS: Final = 20.0
"""So much longer than the rules need it must last: a machine that is busy evaluates late."""


@dataclass(frozen=True, slots=True)
class Due:
    """A time in which an alert had to begin to fire, or to fire on.

    Attributes:
        subject: the alert and what it is about.
        window: over which the rows have drifted.
        begin: when they had; in seconds since 1970.
        end: until when they had, or until the replay ended.
        index: their largest PSI in that time.
    """

    subject: Subject
    window: str
    begin: float
    end: float
    index: float

    def __str__(self) -> str:
        alert, about = self.subject
        lasted = f"PSI up to {self.index:.2f} over {self.window} for {self.end - self.begin:.0f} s"
        return f"{alert} {about or 'about the model'} ({lasted})"

    def met(self, alerts: Iterable[Fired]) -> bool:
        """Whether one of these alerts is it."""
        return any(
            (alert.name, alert.subject) == self.subject
            and alert.begin <= self.end + LATE[self.window]
            and alert.end >= self.begin
            for alert in alerts
        )


def due(truth: Truth, *, begin: float, end: float, hold_seconds: float) -> list[Due]:
    """The alerts that had to fire in a span, each once for each window that shows it.

    Args:
        truth: the rows.
        begin: of the span; in seconds since 1970.
        end: of the span.
        hold_seconds: how long drift must hold before an alert fires.
    """
    moments = np.arange(begin, end, STEP_SECONDS).tolist()
    return [
        one
        for window in TIERS["Critical"]
        for one in _lasting(truth, window, moments)
        if one.end - one.begin >= hold_seconds + LATE[window] + SPARE_SECONDS
    ]


def missing(wanted: Sequence[Due], alerts: Iterable[Fired]) -> list[Due]:
    """Those of which no alert tells, the first one of each subject."""
    fired, lacking = list(alerts), dict[Subject, Due]()
    for one in wanted:
        if not one.met(fired):
            lacking.setdefault(one.subject, one)
    return list(lacking.values())


def _lasting(truth: Truth, window: str, moments: Sequence[float]) -> Iterator[Due]:
    seen: dict[Subject, list[tuple[float, float]]] = defaultdict(list)
    for at in moments:
        for subject, index in truth.far(window, at).items():
            seen[subject].append((at, index))
    for subject, found in seen.items():
        times, indices = np.array(found).T
        cuts = np.flatnonzero(np.diff(times) > 1.5 * STEP_SECONDS) + 1
        for part in np.split(np.arange(len(times)), cuts):
            begin, end = float(times[part[0]]), float(times[part[-1]])
            yield Due(subject, window, begin, end, float(indices[part].max()))
