"""Tests of the recording rules about the errors of a regressor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from tidegate.settings import Drift
from tools.generate.promtool.case_types import STEADY, RecordingCase

_OF: Final = 'job="model",model="r",version="1"'
# At the tenth minute the longer windows have two tiles of five minutes.
MINUTES: Final = {"5m": 5, "1h": 10, "1d": 10}


def error_recording_cases(drift: Drift) -> tuple[RecordingCase, ...]:
    """Every test, for these thresholds."""
    return (
        RecordingCase(
            "labels of a regressor arrive, beside those of a classifier",
            {**regressor_labels(), **classifier_labels()},
            {**_values(drift), **_of_the_classifier()},
        ),
        RecordingCase(
            "half of the predictions have no interval",
            {
                **regressor_labels(),
                f'ml_residuals_total{{{_OF},inside="unknown"}}': f"0+10{STEADY}",
            },
            {
                "sum(model:residuals:5m)": 3000,
                "sum(model:coverage_realised:5m)": 0.8,
                "sum(model:absolute_error_realised:5m)": 1.5,
            },
        ),
        RecordingCase(
            "the errors of a regressor are more dispersed than on held-out rows",
            {**regressor_labels(), f"ml_squared_error_total{{{_OF}}}": f"0+2500{STEADY}"},
            _values(drift, squared=250.0),
        ),
    )


def regressor_labels() -> dict[str, str]:
    """Mean |error| 3 (held-out rows: 2), eight of ten values inside the interval (of 0.9), expected 2.5."""
    return {
        f"ml_reference_absolute_error{{{_OF}}}": f"2{STEADY}",
        f"ml_reference_absolute_error_deviation{{{_OF}}}": f"1.5{STEADY}",
        f"ml_reference_coverage{{{_OF}}}": f"0.9{STEADY}",
        f"ml_prediction_reference_samples{{{_OF}}}": f"4000{STEADY}",
        f'ml_residuals_total{{{_OF},inside="true"}}': f"0+8{STEADY}",
        f'ml_residuals_total{{{_OF},inside="false"}}': f"0+2{STEADY}",
        f"ml_absolute_error_total{{{_OF}}}": f"0+30{STEADY}",
        f"ml_squared_error_total{{{_OF}}}": f"0+100{STEADY}",
        f"ml_expected_absolute_error_total{{{_OF}}}": f"0+50{STEADY}",
        f'tidegate_predictions_total{{{_OF},label="0"}}': f"0+20{STEADY}",
    }


def classifier_labels() -> dict[str, str]:
    """A classifier, six of ten of whose predictions are correct."""
    of = 'job="model",model="c",version="1"'
    return {
        f"ml_reference_accuracy{{{of}}}": f"0.8{STEADY}",
        f'ml_outcomes_total{{{of},correct="true"}}': f"0+6{STEADY}",
        f'ml_outcomes_total{{{of},correct="false"}}': f"0+4{STEADY}",
        f"ml_expected_correct_total{{{of}}}": f"0+15{STEADY}",
        f'tidegate_predictions_total{{{of},label="yes"}}': f"0+20{STEADY}",
    }


def _of_the_classifier() -> dict[str, float | None]:
    """Neither kind of model has the series of the other."""
    return {
        'sum(model:accuracy_realised:5m{model="c"})': 0.6,
        'sum(model:accuracy_expected:5m{model="c"})': 0.75,
        'model:accuracy_realised:5m{model="r"}': None,
        'model:accuracy_drop:5m{model="r"}': None,
        'model:error_z:5m{model="r"}': None,
        'model:absolute_error_realised:5m{model="c"}': None,
        'model:absolute_error_expected:5m{model="c"}': None,
        'model:coverage_realised:5m{model="c"}': None,
    }


def _values(drift: Drift, squared: float = 10.0) -> Mapping[str, float | None]:
    """The recorded values, where the mean of error² is `squared`."""
    expected: dict[str, float | None] = {}
    for window, minutes in MINUTES.items():
        labels = 300 * minutes
        enough = labels >= drift.outcomes
        deviation = max(1.5, math.sqrt(squared - 9))
        z = 1 / (deviation * math.sqrt(1 / labels + 1 / 4000))
        expected |= {
            f"sum(model:residuals:{window})": labels,
            f"sum(model:absolute_error_sum:{window})": labels * 3,
            f"sum(model:squared_error_sum:{window})": labels * squared,
            f"sum(model:expected_absolute_error_sum:{window})": labels * 5,
            f"sum(model:absolute_error_realised:{window})": 3,
            f"sum(model:absolute_error_expected:{window})": 2.5,
            f"sum(model:rmse_realised:{window})": math.sqrt(squared),
            f"sum(model:coverage_realised:{window})": 0.8,
            f"sum(model:absolute_error_rise:{window})": 0.5 if enough else None,
            f"sum(model:absolute_error_z:{window})": z if enough else None,
        }
    return expected
