"""The recording rules about drift of the distributions of features and predictions.

Replicas only count. Windows, fractions and PSI are computed here, over all replicas together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tidegate.monitoring.counting.drift_test import (
    index_expression,
    ratio_expression,
    statistic_expression,
)
from tidegate.rules.promql import number
from tidegate.rules.recording import Recording
from tidegate.settings import Drift

FAST: Final = "2m"
WINDOWS: Final = (FAST, "5m", "1h", "1d")
TILE: Final = "5m"
"""Longer windows are sums of windows of this length, because a day has millions of raw samples."""
# A second less than the window: at the exact boundary, Prometheus 2 would include one tile too many.
SPANS: Final = {"1h": "59m59s", "1d": "23h59m59s"}
SECONDS: Final = {FAST: 120, "5m": 300}
INTERVALS: Final = {FAST: 15.0, "5m": 15.0, "1h": 60.0, "1d": 60.0}
# Groups are evaluated independently, and an instant selector looks back a few seconds only.
FRESH: Final = {FAST: "1m", "5m": "1m", "1h": "3m", "1d": "3m"}
JOB: Final = '{job="model"}'
MODEL: Final = "model, version"


@dataclass(frozen=True, slots=True)
class DriftSeries:
    """A distribution that is counted in bins."""

    name: str  # `feature` or `prediction`, as in the names of the series
    counter: str
    labels: str  # the labels that identify a distribution
    bin: str  # the label that identifies a bin
    description: str  # its name in descriptions


FEATURE: Final = DriftSeries(
    "feature", "ml_feature_observations_total", f"{MODEL}, feature", "bin", "a feature's values"
)
PREDICTION: Final = DriftSeries(
    "prediction", "tidegate_predictions_total", MODEL, "label", "the predicted labels"
)
DISTRIBUTIONS: Final = (FEATURE, PREDICTION)


def reference_recordings() -> Iterator[Recording]:
    """Return the recorded series about the distributions at training."""
    for each in DISTRIBUTIONS:
        yield from _reference(each)


def growth(counter: str, window: str, by: str, match: str = JOB) -> str:
    """Return the growth of counters in a window, summed over all replicas that existed in it.

    `increase` misses what a replica counted before its first scrape. The counters of a replica that started
    within the window started at 0, so their last value is the growth, if it is larger than `increase` (which
    is larger for a replica that was restarted under the same name). Counters that were there before are those
    of a replica which had its address, such as one of another version.
    """
    seconds = SECONDS[window]
    grown = f"increase({counter}{match}[{window}])"
    return (
        f"sum by ({by}) (\n"
        f"  (\n"
        f"    (\n"
        f"      last_over_time({counter}{match}[{window}])\n"
        f"      unless {counter}{match} offset {window}\n"
        f"      and on (job, instance)\n"
        f"      (last_over_time(process_start_time_seconds{JOB}[{window}]) > time() - {seconds})\n"
        f"    ) >= {grown}\n"
        f"  )\n"
        f"  or {grown}\n"
        f")"
    )


def tiles(series: str, window: str) -> str:
    """Return the growth in a longer window, as the sum of its recorded windows of length `TILE`."""
    return f"sum_over_time(last_over_time({series}:{TILE}[{FRESH[TILE]}])[{SPANS[window]}:{TILE}])"


def counted(counter: str, series: str, window: str, by: str) -> str:
    """Return the growth of a counter in a window of any length."""
    return growth(counter, window, by) if window in SECONDS else tiles(series, window)


def now(series: str) -> str:
    """Return the last value of a series about the reference, which does not change."""
    return f"last_over_time({series}:now[5m])"


def fresh(series: str, window: str, match: str = "") -> str:
    """Return the last value of a recorded series of another group."""
    return f"last_over_time({series}:{window}{match}[{FRESH[window]}])"


def _reference(of: DriftSeries) -> Iterator[Recording]:
    what = of.name
    for name, by, meaning in (
        ("reference_ratio", f"{of.labels}, {of.bin}", f"fractions of {of.description} at training"),
        ("reference_samples", of.labels, "number of rows of these fractions"),
        ("critical_value", of.labels, "X² above which a difference is significant"),
    ):
        yield Recording(
            f"model:{what}_{name}:now",
            f"max by ({by}) (last_over_time(ml_{what}_{name}{JOB}[5m]))",
            meaning,
        )


def drift_recordings(window: str, drift: Drift) -> Iterator[Recording]:
    """Return the recorded series about distributions in a window."""
    for of in DISTRIBUTIONS:
        yield from _distribution(of, window, drift)
    # Only features with enough rows; a service without load has no ratio.
    known = f"model:feature_samples:{window} >= {min_rows(window, drift)}"
    drifted = f"model:feature_drift:{window} > {number(drift.psi_warning)}"
    yield Recording(
        f"model:drifted_features_ratio:{window}",
        f"(\n  count by ({MODEL}) ({drifted})\n  or 0 * count by ({MODEL}) ({known})\n)\n"
        f"/ count by ({MODEL}) ({known})",
        f"fraction of features that have drifted, over {window}",
    )


def _distribution(of: DriftSeries, window: str, drift: Drift) -> Iterator[Recording]:
    by, name = of.labels, f"model:{of.name}"
    observed, samples = f"{name}_observations:{window}", f"{name}_samples:{window}"
    ratio, index = f"{name}_ratio:{window}", f"{name}_psi:{window}"
    yield Recording(
        observed,
        counted(of.counter, f"{name}_observations", window, f"{by}, {of.bin}"),
        f"rows by bin of {of.description}, over {window}",
    )
    yield Recording(samples, f"sum by ({by}) ({observed})", f"total number of rows, over {window}")
    yield Recording(
        ratio,
        ratio_expression(observed, samples, by),
        f"smoothed fractions of {of.description}, over {window}",
    )
    expected = now(f"{name}_reference_ratio")
    yield Recording(
        index,
        f"{index_expression(ratio, expected, by)}\nand {samples} > 0",
        f"population stability index of {of.description}, over {window}",
    )
    rows, limit = now(f"{name}_reference_samples"), now(f"{name}_critical_value")
    yield Recording(
        f"{name}_drift:{window}",
        f"{index}\n"
        f"and {samples} >= {min_rows(window, drift)}\n"
        f"and {statistic_expression(index, samples, rows)}\n> {limit}",
        f"that index, if there are at least {min_rows(window, drift)} rows and it is significant",
    )


def min_rows(window: str, drift: Drift) -> int:
    """The number of rows in a window, without which a difference is no drift."""
    return drift.fast_samples if window == FAST else drift.samples
