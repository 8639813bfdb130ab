"""Tests of the alerts about a model: series with which each must fire, and series with which it must not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from tidegate.settings import Drift
from tools.generate.promtool.case_types import AlertCase, cases
from tools.generate.promtool.error_alert_cases import (
    STEPS,
    error_alert_cases,
    eval_time,
    grow,
    too_few,
)

MODEL: Final = {"model": "m", "version": "1"}
_OF: Final = 'job="model",model="m",version="1"'
_ACCURACY: Final = {f"ml_reference_accuracy{{{_OF}}}": f"0.8x{STEPS}"}


def model_alert_cases(drift: Drift) -> Iterator[AlertCase]:
    """Every test of an alert about a model, for these thresholds."""
    yield from _drift(drift)
    yield from _dataset(drift)
    yield from _expected(drift)
    yield from _realised(drift)
    yield from error_alert_cases(drift)
    yield from _labels(drift)


def share_for(index: float) -> float:
    """The fraction of the first of two bins, equal at training, for which the PSI has this value."""
    low, high = 0.5, 1.0
    for _ in range(60):
        share = (low + high) / 2
        if (share - 0.5) * math.log(share / (1 - share)) < index:
            low = share
        else:
            high = share
    return low


def _enough_rows(drift: Drift) -> float:
    """Rows per 15 s that suffice for every window."""
    return 10.0 * max(drift.samples, drift.fast_samples)


def _too_few_rows(drift: Drift) -> float:
    """Rows per 15 s that are too few for every window that starts within the test."""
    return min(drift.samples / (2 * STEPS), drift.fast_samples / 16)


def _rows(index: float, rows: float, feature: str = "", critical: float = 20) -> dict[str, str]:
    """This number of rows per 15 s, with which a feature, or the predictions, have this PSI."""
    of = f'{_OF},feature="{feature}"' if feature else _OF
    kind, label = ("feature", "bin") if feature else ("prediction", "label")
    counter = "ml_feature_observations_total" if feature else "tidegate_predictions_total"
    share = share_for(index)
    series = {
        f"ml_{kind}_reference_samples{{{of}}}": f"50000x{STEPS}",
        f"ml_{kind}_critical_value{{{of}}}": f"{critical:g}x{STEPS}",
    }
    for name, part in (("a", share), ("b", 1 - share)):
        bin_ = f'{of},{label}="{name}"'
        series[f"{counter}{{{bin_}}}"] = grow(rows * part)
        series[f"ml_{kind}_reference_ratio{{{bin_}}}"] = f"0.5x{STEPS}"
    return series


def _drift(drift: Drift) -> Iterator[AlertCase]:
    at, many, few = eval_time(drift), _enough_rows(drift), _too_few_rows(drift)
    tiers = (("Warning", drift.psi_warning), ("Critical", drift.psi_critical))
    for tier, limit in tiers:
        yield from cases(
            f"DriftFeature{tier}",
            at,
            ("the distribution has changed", _rows(limit * 1.1, many, "x"), True),
            ("the distribution has changed slightly", _rows(limit * 0.9, many, "x"), False),
            ("there are too few rows", _rows(limit * 1.1, few, "x"), False),
            ("the change is not significant", _rows(limit * 1.1, many, "x", critical=1e9), False),
            labels={**MODEL, "feature": "x"},
        )
    for tier, limit in tiers:
        yield from cases(
            f"DriftPrediction{tier}",
            at,
            ("the predictions have changed", _rows(limit * 1.1, many), True),
            ("the predictions have changed slightly", _rows(limit * 0.9, many), False),
            ("there are too few predictions", _rows(limit * 1.1, few), False),
            labels=MODEL,
        )


def _dataset(drift: Drift) -> Iterator[AlertCase]:
    needed = math.ceil(drift.dataset_share * 4)
    for count, fires in ((needed, True), (needed - 1, False)):
        series: dict[str, str] = {}
        for number in range(4):
            index = drift.psi_warning * (1.1 if number < count else 0.1)
            series |= _rows(index, _enough_rows(drift), f"f{number}")
        scenario = f"{count} of 4 features have drifted"
        labels = MODEL if fires else {}
        yield AlertCase("DriftDataset", scenario, series, eval_time(drift), fires, labels)


def _expected(drift: Drift) -> Iterator[AlertCase]:
    alert, at, rows = "ModelExpectedAccuracyLow", eval_time(drift), _enough_rows(drift)
    below = 0.8 - min(0.7, drift.accuracy_drop_warning * 1.5 + 0.01)

    def series(share: float) -> dict[str, str]:
        expected = {f"ml_expected_correct_total{{{_OF}}}": grow(rows * share)}
        return {**_ACCURACY, **_rows(0.0, rows), **expected}

    yield AlertCase(alert, "the confidence is low", series(below), at, True, MODEL)
    yield AlertCase(alert, "the confidence is normal", series(0.8), at, fires=False)
    moved = _rows(drift.psi_warning * 1.5, rows, "x")
    scenario = "a feature has drifted, so the confidence is not meaningful"
    yield AlertCase(alert, scenario, {**series(below), **moved}, at, fires=False)


def _outcomes(per_step: float, accuracy: float) -> dict[str, str]:
    of = f'ml_outcomes_total{{{_OF},correct="'
    return {
        **_ACCURACY,
        f'{of}true"}}': grow(per_step * accuracy),
        f'{of}false"}}': grow(per_step * (1 - accuracy)),
    }


def _realised(drift: Drift) -> Iterator[AlertCase]:
    at = eval_time(drift)
    # Enough labels that any difference is significant, and too few labels.
    many, few = 1000.0 * drift.outcomes, too_few(drift)
    for tier, drop in (
        ("Warning", drift.accuracy_drop_warning),
        ("Critical", drift.accuracy_drop_critical),
    ):
        below = 0.8 - min(0.7, drop * 1.2 + 0.001)
        yield from cases(
            f"ModelAccuracy{tier}",
            at,
            ("the accuracy has dropped", _outcomes(many, below), True),
            ("the accuracy has dropped slightly", _outcomes(many, 0.8 - drop * 0.9), False),
            ("there are too few labels", _outcomes(few, below), False),
            labels=MODEL,
        )
    # Twenty steps make 5 minutes, in which there are twice the labels needed.
    some = drift.outcomes / 10
    spread = math.sqrt(0.8 * 0.2 / (2 * drift.outcomes))
    risen, less = (_outcomes(some, 0.8 - z * drift.error_z * spread) for z in (1.2, 0.6))
    yield from cases(
        "ModelConceptDrift",
        "8m",
        ("the error rate has risen significantly", risen, True),
        ("the error rate has risen, but not significantly", less, False),
        ("there are too few labels", _outcomes(few, 0.1), False),
        labels=MODEL,
    )


def _labels(drift: Drift) -> Iterator[AlertCase]:
    alert = "ModelErrorRateChanged"
    detector = 'job="watch",model="m",version="1",detector="adwin"'
    changed = f"tidegate_watch_change_timestamp_seconds{{{detector}}}"
    found = {**MODEL, "detector": "adwin"}
    yield AlertCase(alert, "a detector finds a change", {changed: "_x20 290x20"}, "6m", True, found)
    again = {changed: "200x20 _x10 200x30"}
    yield AlertCase(alert, "it restarts and finds an old change again", again, "10m", fires=False)

    alert, limit = "ModelLabelsLate", drift.label_lag_seconds
    yield AlertCase(alert, "most labels are late", _lags(limit, 10), "20m", True, MODEL)
    yield AlertCase(alert, "most labels are in time", _lags(limit, 90), "20m", fires=False)

    alert = "ModelFeedbackForged"
    forged = f'ml_feedback_refused_total{{{_OF},reason="forged"}}'
    replayed = f'ml_feedback_refused_total{{{_OF},reason="replayed"}}'
    yield AlertCase(
        alert, "prediction ids have an invalid signature", {forged: "0x10 3x10"}, "5m", True, MODEL
    )
    yield AlertCase(
        alert, "labels are sent twice", {replayed: "0x10 3x10", forged: "0x20"}, "5m", False
    )


def _lags(limit: float, in_time: int) -> dict[str, str]:
    edges = {repr(limit): in_time, repr(limit * 2): 100, "+Inf": 100}
    return {
        f'ml_label_lag_seconds_bucket{{{_OF},le="{edge}"}}': grow(count)
        for edge, count in edges.items()
    }
