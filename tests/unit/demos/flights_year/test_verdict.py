"""The results of a replay are compared with numpy, period by period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from support.samples.flights_replay import CATEGORIES, ROWS, START
from tidegate.demos.flights_year.ground_truth import GroundTruth
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay_record import ReplayRecord
from tidegate.demos.flights_year.verdict import (
    PeriodResult,
    checks,
    period_results,
)
from tidegate.monitoring.counting.bin_counter import BinCounter
from tidegate.monitoring.counting.distributions import feature_distributions
from tidegate.monitoring.report.alerts import FiredAlert
from tidegate.monitoring.report.counter_increases import Floats
from tidegate.monitoring.report.findings import Counters, Findings, build_findings
from tidegate.monitoring.tasks.labelled_rows import LabelledRows
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.periods import Period
from tidegate.monitoring.tasks.registry import make_task
from tidegate.settings import Drift

ALERT = FiredAlert("DriftFeatureCritical", "x", "critical", START + 70, START + 90)
WARNING = replace(ALERT, name="DriftFeatureWarning", subject="temp")


@pytest.fixture
def found(
    model: Model, sent: list[ReplayPeriod], record: ReplayRecord, truth: GroundTruth
) -> Findings:
    """The findings of a report, if nothing was lost."""
    periods = [Period(month.name, *span) for month, span in zip(sent, record.spans, strict=True)]
    counter = BinCounter(model.reference.features, CATEGORIES)
    observed: dict[tuple[str, ...], Floats] = {
        (feature.name, label): np.array(
            [float((counter.bins(month.matrix)[:, at] == place).sum()) for month in sent]
        )
        for at, feature in enumerate(model.reference.features)
        for place, label in enumerate(feature.labels)
    }
    actual = np.array([label for month in sent for label in month.actual])
    count = len(actual)
    labelled = LabelledRows(
        record.row_answer_times(), np.full(count, "on_time"), actual,
        np.full(count, "a" * 32), np.arange(count), {"confidence": np.full(count, 0.9)}, {},
    )  # fmt: skip
    counted = Counters(feature_distributions(model.reference, observed, 2, 0.01), None, [ALERT])
    span = Period("all", START, START + 120)
    return build_findings(make_task(model, Drift()), labelled, counted, span=span, periods=periods)


def test_a_period_has_its_accuracy_by_the_counters_and_by_numpy(
    found: Findings, truth: GroundTruth
) -> None:
    control, march = period_results(found, np.array([1350.0, 1350.0]), truth)
    assert (control.name, control.rows) == ("control", ROWS)
    assert (control.expected, control.realised, control.true) == (0.9, 0.9, 0.9)
    assert (march.realised, march.true) == (0.6, 0.6)
    assert march.gap == pytest.approx(0.3)
    assert (control.stable, march.stable) == (True, False)
    assert max(control.psi_error, march.psi_error) < 1e-9


def test_lost_rows_show_as_a_psi_error(found: Findings, truth: GroundTruth) -> None:
    x, carrier = found.counters.features
    lost = np.array(x.counts)
    lost[1, 5:] *= 0.8
    incomplete = replace(
        found, counters=replace(found.counters, features=[replace(x, counts=lost), carrier])
    )
    assert period_results(incomplete, np.array([1350.0, 1350.0]), truth)[1].psi_error > 0.02
    empty = replace(found, counters=Counters())
    assert period_results(empty, np.array([1350.0, 1350.0]), truth)[1].psi_error == np.inf


def result(name: str, index: float, expected: float, realised: float = 0.8) -> PeriodResult:
    return PeriodResult(name, 100, expected, realised, 0.8, {"x": index}, 0.001)


def failed(
    *results: PeriodResult,
    stored: int = 100,
    drifted: Sequence[str] = (),
) -> list[str]:
    found = checks(results, [ALERT, WARNING], drifted, sent=100, stored=stored, control="control")
    return [text for good, text in found if not good]


def test_every_check_fails_for_its_own_reason() -> None:
    good = (result("control", 0.01, 0.81), result("Mar", 1.0, 0.9))
    assert failed(*good) == []
    assert failed(*good, stored=99) == ["99 labels in the store, 100 sent"]
    assert failed(*good, drifted=["x"]) == []
    (missing,) = failed(*good, drifted=["x", "temp"])
    assert missing.endswith(": temp")
    assert "by at most 4.0 percentage points" in failed(result("control", 0.01, 0.84))[0]
    assert "within 3.00 %" in failed(good[0], replace(good[1], psi_error=0.03))[0]
    for realised in (0.7, float("nan")):
        (wrong, *_) = failed(good[0], result("Mar", 1.0, 0.9, realised=realised))
        assert wrong.startswith("each period's accuracy")


def sentences(*results: PeriodResult) -> list[str]:
    return [text for _, text in checks(results, [], [], sent=1, stored=1, control="control")]


def test_a_note_is_printed_if_a_feature_drifted_in_every_real_month() -> None:
    texts = sentences(result("Mar", 1.0, 0.9))
    assert any("(no period)" in text for text in texts)
    assert texts[-1].startswith("in every real month a feature has drifted")
    stable = sentences(result("Mar", 0.01, 0.8))
    assert not any(text.startswith("in every real month") for text in stable)
