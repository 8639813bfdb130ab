"""The definition of a test of an alert, and of a test of recording rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

# Of recording cases: when they are evaluated, and the repetition that lasts until then at 2 s a sample.
RECORDING_EVAL_TIME: Final = "10m"
STEADY: Final = "x300"


@dataclass(frozen=True, slots=True)
class AlertCase:
    """One test of one alert."""

    alert: str
    scenario: str  # what happens, as a clause
    series: Mapping[str, str]  # samples in promtool's notation, by series
    eval_time: str  # when the alert is evaluated, after the first sample
    fires: bool  # whether the alert must fire at that time
    labels: Mapping[str, str] = field(default_factory=dict)  # besides its severity
    interval: str = "15s"  # time between two samples


def cases(
    alert: str,
    eval_time: str,
    *scenarios: tuple[str, Mapping[str, str], bool],
    labels: Mapping[str, str] | None = None,
    interval: str = "15s",
) -> Iterator[AlertCase]:
    """Tests of one alert: of each, its scenario, its series, and whether the alert must fire."""
    for scenario, series, fires in scenarios:
        found = (labels or {}) if fires else {}
        yield AlertCase(alert, scenario, series, eval_time, fires, found, interval)


@dataclass(frozen=True, slots=True)
class RecordingCase:
    """One test of recording rules, evaluated ten minutes after the first sample."""

    scenario: str  # what happens, as a clause
    series: Mapping[str, str]  # samples in promtool's notation, one every 2 s, by series
    expected: Mapping[str, float | None]  # by recorded series; None if it must be absent
