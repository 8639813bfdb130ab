"""Tests of the recording rules about a model: raw series, and the values that the rules must record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from tidegate.rules.rule_files import model_groups
from tidegate.settings import Drift
from tools.generate.promtool.case_types import STEADY, RecordingCase
from tools.generate.promtool.error_recording_cases import error_recording_cases

_OF: Final = 'job="model",model="m",version="1"'
_FEATURE: Final = f'{_OF},feature="x"'
# At the tenth minute the longer windows have two tiles of five minutes.
MINUTES: Final = {"2m": 2, "5m": 5, "1h": 10, "1d": 10}


def model_recording_cases(drift: Drift) -> tuple[RecordingCase, ...]:
    """Every test, for these thresholds."""
    names = [recording.name for group in model_groups(drift) for recording in group.recordings]
    return (
        RecordingCase("no model is monitored", {}, dict.fromkeys(names)),
        RecordingCase("rows of two replicas are counted", _rows(), _row_values(drift)),
        RecordingCase(
            "a replica started within the window", _started(), {_sum("observations"): 405}
        ),
        RecordingCase(
            "a replica stopped within the window", _stopped(), {_sum("observations"): 50.5}
        ),
        RecordingCase(
            "a replica restarted under the same name", _restarted(), {_sum("observations"): 150}
        ),
        RecordingCase(
            "another version took the address of a replica",
            _replaced(),
            {_sum("observations"): 150.5},
        ),
        RecordingCase("labels arrive", _labels(), _label_values(drift)),
        *error_recording_cases(drift),
    )


def _sum(what: str, window: str = "5m") -> str:
    return f"sum(model:feature_{what}:{window})"


def _bin(label: str, instance: str) -> str:
    return f'ml_feature_observations_total{{{_FEATURE},bin="{label}",instance="{instance}"}}'


def _process_start(instance: str, second: int) -> dict[str, str]:
    name = f'process_start_time_seconds{{job="model",instance="{instance}"}}'
    return {name: f"{second}{STEADY}"}


def _rows() -> dict[str, str]:
    """Three of four rows fall into the first of two bins, which held half of them at training."""
    labels = {"a": 3, "b": 1}
    return {
        **{
            _bin(label, instance): f"0+{each}{STEADY}"
            for label, each in labels.items()
            for instance in ("one", "two")
        },
        **{
            f'ml_feature_reference_ratio{{{_FEATURE},bin="{label}"}}': f"0.5{STEADY}"
            for label in labels
        },
        f"ml_feature_reference_samples{{{_FEATURE}}}": f"3000{STEADY}",
        f"ml_feature_critical_value{{{_FEATURE}}}": f"20{STEADY}",
        **{
            f'tidegate_predictions_total{{{_OF},label="{label}"}}': f"0+{each * 2}{STEADY}"
            for label, each in labels.items()
        },
        **{
            f'ml_prediction_reference_ratio{{{_OF},label="{label}"}}': f"0.5{STEADY}"
            for label in labels
        },
        f"ml_prediction_reference_samples{{{_OF}}}": f"3000{STEADY}",
        f"ml_prediction_critical_value{{{_OF}}}": f"20{STEADY}",
    }


def _row_values(drift: Drift) -> dict[str, float | None]:
    expected: dict[str, float | None] = {}
    for what in ("feature", "prediction"):
        name = f"model:{what}"
        expected[f"sum({name}_reference_ratio:now)"] = 1
        expected[f"sum({name}_reference_samples:now)"] = 3000
        expected[f"sum({name}_critical_value:now)"] = 20
        for window, minutes in MINUTES.items():
            rows = 240 * minutes  # 30 samples per minute, each with 8 more rows
            share = (rows * 0.75 + 0.5) / (rows + 1)
            index = (share - 0.5) * math.log(share / (1 - share))
            enough = drift.fast_samples if window == "2m" else drift.samples
            statistic = index * rows * 3000 / (rows + 3000)
            drifted = rows >= enough and statistic > 20
            expected |= {
                f"sum({name}_observations:{window})": rows,
                f"sum({name}_samples:{window})": rows,
                f"max({name}_ratio:{window})": share,
                f"sum({name}_psi:{window})": index,
                f"sum({name}_drift:{window})": index if drifted else None,
            }
            ratio = float(index > drift.psi_warning) if drifted else 0.0
            expected[f"sum(model:drifted_features_ratio:{window})"] = (
                ratio if rows >= enough else None
            )
    return expected


def _started() -> dict[str, str]:
    """One replica runs throughout; the other started at 6:40 with 5 rows before its first scrape."""
    return {
        _bin("a", "old"): f"0+2{STEADY}",
        _bin("a", "new"): "_x200 5+1x99 105",
        **_process_start("old", -900),
        **_process_start("new", 400),
    }


def _stopped() -> dict[str, str]:
    """It counted one row every 2 s until 6:40. The rule adds half a scrape interval for unseen rows."""
    return {_bin("a", "old"): "0+1x200", **_process_start("old", -900)}


def _restarted() -> dict[str, str]:
    """Until 6:40 it counted 50 rows within the window; it restarted at once and counted 100 more."""
    return {
        _bin("a", "one"): "0+1x200 1+1x99 101",
        'process_start_time_seconds{job="model",instance="one"}': "-900x200 401x100",
    }


def _replaced() -> dict[str, str]:
    """Until 6:40 it counted 50 rows within the window, and 150 before; then the other version counted 100."""
    other = _bin("a", "one").replace('version="1"', 'version="2"')
    return {
        _bin("a", "one"): "0+1x200",
        other: "_x200 1+1x99 100",
        'process_start_time_seconds{job="model",instance="one"}': "-900x200 401x100",
    }


def _labels() -> dict[str, str]:
    """Six of ten predictions are correct. Accuracy on held-out rows is 0.8, expected accuracy 0.75."""
    pairs = {("yes", "yes"): 1, ("yes", "no"): 3, ("no", "yes"): 1, ("no", "no"): 5}
    return {
        f"ml_reference_accuracy{{{_OF}}}": f"0.8{STEADY}",
        f'ml_outcomes_total{{{_OF},correct="true"}}': f"0+6{STEADY}",
        f'ml_outcomes_total{{{_OF},correct="false"}}': f"0+4{STEADY}",
        **{
            f'ml_outcome_labels_total{{{_OF},predicted="{given}",actual="{true}"}}': f"0+{n}{STEADY}"
            for (given, true), n in pairs.items()
        },
        f"ml_outcome_squared_error_total{{{_OF}}}": f"0+2{STEADY}",
        f"ml_expected_correct_total{{{_OF}}}": f"0+15{STEADY}",
        f'tidegate_predictions_total{{{_OF},label="yes"}}': f"0+20{STEADY}",
        f'ml_label_lag_seconds_bucket{{{_OF},le="60.0"}}': f"0+5{STEADY}",
        f'ml_label_lag_seconds_bucket{{{_OF},le="120.0"}}': f"0+10{STEADY}",
        f'ml_label_lag_seconds_bucket{{{_OF},le="+Inf"}}': f"0+10{STEADY}",
    }


def _label_values(drift: Drift) -> Mapping[str, float | None]:
    expected: dict[str, float | None] = {"sum(model:label_lag_seconds_p50:1h)": 60}
    for window in ("5m", "1h", "1d"):
        labels = 300 * MINUTES[window]
        enough = labels >= drift.outcomes
        drop = 0.2 if enough else None
        expected |= {
            f"sum(model:outcomes:{window})": labels,
            f"sum(model:outcome_labels:{window})": labels,
            f"sum(model:outcome_squared_error:{window})": labels * 0.2,
            f"sum(model:expected_correct:{window})": labels * 1.5,
            f"sum(model:accuracy_realised:{window})": 0.6,
            f"sum(model:accuracy_expected:{window})": 0.75,
            f"sum(model:accuracy_drop:{window})": drop,
            f"sum(model:error_z:{window})": 0.2 / math.sqrt(0.16 / labels) if enough else None,
            f"sum(model:brier:{window})": 0.2,
            f'sum(model:precision:{window}{{label="yes"}})': 0.25,
            f'sum(model:precision:{window}{{label="no"}})': 5 / 6,
            f'sum(model:recall:{window}{{label="yes"}})': 0.5,
            f'sum(model:recall:{window}{{label="no"}})': 0.625,
        }
    return expected
