"""An alert is expected where drift was critical for long enough, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.samples.flights_replay import CATEGORIES, START
from tidegate.demos.flights_year.expected_alerts import ExpectedAlert, expected_alerts, missing
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.tasks.model import Model
from tidegate.settings import Drift

HOLD = 15.0
END = START + 200
X = ("DriftFeatureCritical", "x")
PREDICTIONS = ("DriftPredictionCritical", "")


def expected_of(truth: GroundTruth, end: float = END) -> list[ExpectedAlert]:
    return expected_alerts(truth, begin=START, end=end, hold_seconds=HOLD)


def alert(subject: tuple[str, str], begin: float, end: float) -> FiredAlert:
    return FiredAlert(*subject, "critical", begin, end)


def test_lasting_critical_drift_expects_an_alert(
    truth: GroundTruth,
) -> None:
    found = {(one.subject, one.window): one for one in expected_of(truth)}
    # `carrier` has not drifted; all predictions are on_time from the first row on.
    assert set(found) == {(X, "2m"), (PREDICTIONS, "2m"), (PREDICTIONS, "5m")}
    far = found[X, "2m"]
    # Shifted rows arrive from START + 60 on; from START + 121 on, the control's rows leave the window.
    assert START + 70 < far.begin <= START + 130
    assert far.end == END - 5
    assert far.index > 0.5
    # A thousand rows, below which the rules evaluate nothing, are there after 20 s.
    assert START + 20 <= found[PREDICTIONS, "5m"].begin < START + 30


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(59, False), (66, True)],  # hold 15, delay of the rules 25, margin 20; in steps of 5
)
def test_drift_that_ends_before_the_rules_certainly_see_it_expects_no_alert(
    truth: GroundTruth, seconds: float, expected: bool
) -> None:
    (far,) = (one for one in expected_of(truth) if (one.subject, one.window) == (X, "2m"))
    assert (X in {one.subject for one in expected_of(truth, far.begin + seconds)}) is expected


def test_the_control_alone_expects_no_alert_about_its_features(
    model: Model, sent: list[ReplayPeriod], record: ReplayRecord
) -> None:
    control = ReplayRecord(record.batches_of(0), record.labelled_at[:30], record.spans[:1])
    truth = GroundTruth(model, CATEGORIES, sent, control, Drift())
    assert {one.subject for one in expected_of(truth)} <= {PREDICTIONS}


def test_a_psi_slightly_above_the_threshold_expects_no_alert(
    model: Model, sent: list[ReplayPeriod], record: ReplayRecord, truth: GroundTruth
) -> None:
    highest = max(one.index for one in expected_of(truth) if one.subject == X)
    for limit, expected in ((highest / 1.05, False), (highest / 3, True)):
        drift = Drift(psi_critical=limit)
        found = expected_of(GroundTruth(model, CATEGORIES, sent, record, drift))
        assert (X in {one.subject for one in found}) is expected


@pytest.mark.parametrize(
    ("fired", "is_missing"),
    [
        (alert(X, START + 80, START + 90), False),
        (alert(X, START + 20, START + 71), False),
        (alert(X, START + 150, START + 160), False),
        (alert(X, START + 170, START + 180), True),
        (alert(X, START + 20, START + 60), True),
        (alert(("DriftFeatureWarning", "x"), START + 80, START + 90), True),
        (alert(("DriftFeatureCritical", "carrier"), START + 80, START + 90), True),
    ],
)
def test_an_expected_alert_is_met_by_name_subject_and_time(
    fired: FiredAlert, is_missing: bool
) -> None:
    one = ExpectedAlert(X, "2m", START + 70, START + 140, 0.8)
    again = replace(one, window="5m")
    assert missing([one, again], [fired]) == ([one] if is_missing else [])
