"""Tests of the alerts about a model: series with which each must fire, and series with which it must not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from tidegate.settings import Drift
from tools.generate.promtool.case_types import AlertCase
from tools.generate.promtool.error_alert_cases import error_alert_cases

MODEL: Final = {"model": "m", "version": "1"}
STEPS: Final = 80  # of 15 s: twenty minutes
_OF: Final = 'job="model",model="m",version="1"'
_ACCURACY: Final = {f"ml_reference_accuracy{{{_OF}}}": f"0.8x{STEPS}"}


def model_alert_cases(drift: Drift) -> Iterator[AlertCase]:
    """Every test of an alert about a model, for these thresholds."""
    yield from _feature(drift)
    yield from _prediction(drift)
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


def _eval_time(drift: Drift) -> str:
    return f"{10 + math.ceil(drift.hold_seconds / 60)}m"


def _grow(per_step: float) -> str:
    return f"0+{per_step:.9g}x{STEPS}"


def _enough_rows(drift: Drift) -> float:
    """Rows per 15 s that suffice for every window."""
    return 10.0 * max(drift.samples, drift.fast_samples)


def _too_few_rows(drift: Drift) -> float:
    """Rows per 15 s that are too few for every window that starts within the test."""
    return min(drift.samples / (2 * STEPS), drift.fast_samples / 16)


def _bins(name: str, index: float, rows: float, critical: float = 20) -> dict[str, str]:
    """A feature whose PSI is `index`, with this number of rows per 15 s."""
    feature = f'{_OF},feature="{name}"'
    share = share_for(index)
    series = {
        f"ml_feature_reference_samples{{{feature}}}": f"50000x{STEPS}",
        f"ml_feature_critical_value{{{feature}}}": f"{critical:g}x{STEPS}",
    }
    for label, part in (("a", share), ("b", 1 - share)):
        bin_ = f'{feature},bin="{label}"'
        series[f"ml_feature_observations_total{{{bin_}}}"] = _grow(rows * part)
        series[f"ml_feature_reference_ratio{{{bin_}}}"] = f"0.5x{STEPS}"
    return series


def _predictions(index: float, rows: float) -> dict[str, str]:
    """Predictions whose PSI is `index`."""
    share = share_for(index)
    series = {
        f"ml_prediction_reference_samples{{{_OF}}}": f"50000x{STEPS}",
        f"ml_prediction_critical_value{{{_OF}}}": f"20x{STEPS}",
    }
    for label, part in (("a", share), ("b", 1 - share)):
        of = f'{_OF},label="{label}"'
        series[f"tidegate_predictions_total{{{of}}}"] = _grow(rows * part)
        series[f"ml_prediction_reference_ratio{{{of}}}"] = f"0.5x{STEPS}"
    return series


def _feature(drift: Drift) -> Iterator[AlertCase]:
    at, many = _eval_time(drift), _enough_rows(drift)
    for tier, limit in (("Warning", drift.psi_warning), ("Critical", drift.psi_critical)):
        scenarios: tuple[tuple[str, Mapping[str, str], bool], ...] = (
            ("the distribution has changed", _bins("x", limit * 1.1, many), True),
            ("the distribution has changed slightly", _bins("x", limit * 0.9, many), False),
            ("there are too few rows", _bins("x", limit * 1.1, _too_few_rows(drift)), False),
            ("the change is not significant", _bins("x", limit * 1.1, many, critical=1e9), False),
        )
        for scenario, series, fires in scenarios:
            labels = {**MODEL, "feature": "x"} if fires else {}
            yield AlertCase(f"DriftFeature{tier}", scenario, series, at, fires, labels)


def _prediction(drift: Drift) -> Iterator[AlertCase]:
    at, many = _eval_time(drift), _enough_rows(drift)
    for tier, limit in (("Warning", drift.psi_warning), ("Critical", drift.psi_critical)):
        alert = f"DriftPrediction{tier}"
        moved, still = _predictions(limit * 1.1, many), _predictions(limit * 0.9, many)
        few = _predictions(limit * 1.1, _too_few_rows(drift))
        yield AlertCase(alert, "the predictions have changed", moved, at, fires=True, labels=MODEL)
        yield AlertCase(alert, "the predictions have changed slightly", still, at, fires=False)
        yield AlertCase(alert, "there are too few predictions", few, at, fires=False)


def _dataset(drift: Drift) -> Iterator[AlertCase]:
    needed = math.ceil(drift.dataset_share * 4)
    for count, fires in ((needed, True), (needed - 1, False)):
        series: dict[str, str] = {}
        for number in range(4):
            index = drift.psi_warning * (1.1 if number < count else 0.1)
            series |= _bins(f"f{number}", index, _enough_rows(drift))
        scenario = f"{count} of 4 features have drifted"
        labels = MODEL if fires else {}
        yield AlertCase("DriftDataset", scenario, series, _eval_time(drift), fires, labels)


def _expected(drift: Drift) -> Iterator[AlertCase]:
    alert, at, rows = "ModelExpectedAccuracyLow", _eval_time(drift), _enough_rows(drift)
    below = 0.8 - min(0.7, drift.accuracy_drop_warning * 1.5 + 0.01)

    def series(share: float) -> dict[str, str]:
        expected = {f"ml_expected_correct_total{{{_OF}}}": _grow(rows * share)}
        return {**_ACCURACY, **_predictions(0.0, rows), **expected}

    yield AlertCase(alert, "the confidence is low", series(below), at, True, MODEL)
    yield AlertCase(alert, "the confidence is normal", series(0.8), at, fires=False)
    moved = _bins("x", drift.psi_warning * 1.5, rows)
    scenario = "a feature has drifted, so the confidence is not meaningful"
    yield AlertCase(alert, scenario, {**series(below), **moved}, at, fires=False)


def _outcomes(per_step: float, accuracy: float) -> dict[str, str]:
    of = f'ml_outcomes_total{{{_OF},correct="'
    return {
        **_ACCURACY,
        f'{of}true"}}': _grow(per_step * accuracy),
        f'{of}false"}}': _grow(per_step * (1 - accuracy)),
    }


def _realised(drift: Drift) -> Iterator[AlertCase]:
    at = _eval_time(drift)
    # Enough labels that any difference is significant, and too few labels.
    many, few = 1000.0 * drift.outcomes, drift.outcomes / (2 * STEPS)
    for tier, drop in (
        ("Warning", drift.accuracy_drop_warning),
        ("Critical", drift.accuracy_drop_critical),
    ):
        alert, below = f"ModelAccuracy{tier}", 0.8 - min(0.7, drop * 1.2 + 0.001)
        yield AlertCase(alert, "the accuracy has dropped", _outcomes(many, below), at, True, MODEL)
        yield AlertCase(
            alert,
            "the accuracy has dropped slightly",
            _outcomes(many, 0.8 - drop * 0.9),
            at,
            fires=False,
        )
        yield AlertCase(alert, "there are too few labels", _outcomes(few, below), at, fires=False)
    alert = "ModelConceptDrift"
    # Twenty steps make 5 minutes, in which there are twice the labels needed.
    some = drift.outcomes / 10
    spread = math.sqrt(0.8 * 0.2 / (2 * drift.outcomes))
    for z, scenario, fires in (
        (drift.error_z * 1.2, "the error rate has risen significantly", True),
        (drift.error_z * 0.6, "the error rate has risen, but not significantly", False),
    ):
        labels = MODEL if fires else {}
        yield AlertCase(alert, scenario, _outcomes(some, 0.8 - z * spread), "8m", fires, labels)
    yield AlertCase(alert, "there are too few labels", _outcomes(few, 0.1), "8m", fires=False)


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
        f'ml_label_lag_seconds_bucket{{{_OF},le="{edge}"}}': _grow(count)
        for edge, count in edges.items()
    }
