"""The alerts about the model that fired, and when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.monitoring.report.counter_increases import Series

FIRING: Final = 'ALERTS{alertstate="firing", alertname=~"(Drift|Model).*"}'
GAP_SECONDS: Final = 60.0
"""A gap this long between two samples ends an episode: an alert is evaluated every few seconds."""


@dataclass(frozen=True, slots=True)
class FiredAlert:
    """One episode of a firing alert, from its first sample to its last one, in seconds since 1970."""

    name: str
    subject: str
    """The feature or the detector that it is about; empty if it is about the whole model."""
    severity: str
    begin: float
    end: float


def fired_alerts(found: Iterable[Series]) -> list[FiredAlert]:
    """The episodes in samples of `ALERTS`, by their begin."""
    return sorted(_episodes(found), key=lambda one: (one.begin, one.name, one.subject))


def _episodes(found: Iterable[Series]) -> Iterator[FiredAlert]:
    for series in found:
        labels = series.labels
        subject = labels.get("feature") or labels.get("detector") or ""
        cuts = np.flatnonzero(np.diff(series.times) > GAP_SECONDS) + 1
        for part in np.split(series.times, cuts):
            if len(part):
                name, severity = labels.get("alertname", ""), labels.get("severity", "")
                yield FiredAlert(name, subject, severity, float(part[0]), float(part[-1]))
