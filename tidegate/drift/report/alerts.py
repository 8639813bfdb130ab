"""Alerts about the model that fired: which, about what, from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.drift.report.counter_increases import Series

ALERTS: Final = 'ALERTS{alertstate="firing", alertname=~"(Drift|Model).*"}'
GAP_SECONDS: Final = 60.0
"""An alert is evaluated each few seconds: after a silence this long it had ended."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A time during which an alert fired; in seconds since 1970.

    Attributes:
        name: the alert's.
        subject: the feature or the detector that it is about; empty if it is about the whole model.
        severity: warning or critical.
        begin: when it began to fire.
        end: when it was last seen to.
    """

    name: str
    subject: str
    severity: str
    begin: float
    end: float


def fired(found: Iterable[Series]) -> list[Fired]:
    """The episodes in the samples of `ALERTS`, the first one first."""
    return sorted(_episodes(found), key=lambda one: (one.begin, one.name, one.subject))


def _episodes(found: Iterable[Series]) -> Iterator[Fired]:
    for series in found:
        labels = series.labels
        subject = labels.get("feature") or labels.get("detector") or ""
        cuts = np.flatnonzero(np.diff(series.times) > GAP_SECONDS) + 1
        for part in np.split(series.times, cuts):
            if len(part):
                name, severity = labels.get("alertname", ""), labels.get("severity", "")
                yield Fired(name, subject, severity, float(part[0]), float(part[-1]))
