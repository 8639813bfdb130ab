"""The definition of a test of an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Case:
    """One test of one alert.

    Attributes:
        alert: its name.
        story: what happens, as a clause.
        series: promtool's notation for the samples, by series.
        at: when the alert is evaluated.
        fires: whether it must fire then.
        labels: the labels of the series it fires for, besides its severity.
        interval: time between two samples.
    """

    alert: str
    story: str
    series: Mapping[str, str]
    at: str
    fires: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    interval: str = "15s"
