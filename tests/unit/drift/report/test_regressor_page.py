"""The report on a regressor: its sentences, its level, and every finding on the page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from support.samples.drift_report import Tags, values_of
from support.samples.model_artefacts import regressor
from tidegate.drift.report.alerts import FiredAlert
from tidegate.drift.report.counter_increases import Floats
from tidegate.drift.report.distributions import feature_distributions, prediction_distribution
from tidegate.drift.report.findings import Counters
from tidegate.drift.report.labelled_values import LabelledValues
from tidegate.drift.report.number_format import number_format, signed
from tidegate.drift.report.page import badge, to_html
from tidegate.drift.report.periods import Period
from tidegate.drift.report.regressor_findings import RegressorFindings, build_regressor_findings
from tidegate.drift.report.regressor_summary import summary
from tidegate.settings import Drift

PERIODS = [Period("Mar", 0, 10), Period("<Apr>", 10, 20)]
SPAN = Period("all", 0, 20)
MODEL = regressor()


def counters(*, drifted: bool = False) -> Counters:
    observed: dict[tuple[str, ...], Floats] = {
        ("x", "0"): np.array([900.0, 0.0 if drifted else 900.0]),
        ("x", "1"): np.array([900.0, 1500.0 if drifted else 900.0]),
        ("carrier", "AA"): np.array([1260.0, 1260.0]),
        ("carrier", "UA"): np.array([540.0, 540.0]),
    }
    given: dict[tuple[str, ...], Floats] = {
        ("0",): np.array([400.0, 100.0]),
        ("1",): np.array([400.0, 400.0]),
        ("2",): np.array([200.0, 900.0]),
    }
    return Counters(
        feature_distributions(MODEL.reference, observed, 2, 0.01),
        prediction_distribution(MODEL.reference, (), given, 2, 0.01),
        [FiredAlert("ModelErrorRisen", "", "critical", 12, 15)],
    )


def labelled(factor: float, bias: float = 0.0) -> LabelledValues:
    """1000 labels whose mean absolute error is 4 in March, and `factor` times that in April."""
    random = np.random.default_rng(7)
    answered = [5.0] * 500 + [15.0] * 500
    predicted = np.linspace(1, 60, 500)
    noise = random.normal(size=500)
    noise -= noise.mean()
    noise *= 4 / np.abs(noise).mean()
    actual = np.concatenate([predicted + noise, predicted + noise * factor]) + bias
    carriers = (["AA"] * 250 + ["UA"] * 250) * 2
    return values_of(answered, [*predicted, *predicted], actual.tolist(), carrier=carriers)


def findings(rows: LabelledValues, found: Counters | None = None) -> RegressorFindings:
    return build_regressor_findings(
        MODEL, Drift(), rows, found or counters(), span=SPAN, periods=PERIODS
    )


def test_the_page_needs_no_other_file_and_shows_every_finding() -> None:
    tags = Tags(to_html(findings(labelled(2.0)), model_source="models/durations", note="A note."))
    assert all(url.startswith("data:") for url in tags.urls)
    text = " ".join(tags.text.split())
    for expected in (
        "durations v1 error up 100 %",
        "1,000 known actual values",
        "6.00 mean absolute error (min)",
        "4.00 error on held-out rows (min)",
        "it has risen by 100 %, which chance does not explain.",
        "ModelErrorRisen the model critical",
        "The distribution of the predicted values has drifted",
        "Mar 500 4.00",
        "predicted value",
        "carrier UA",
        "significant",
        f"tidegate trace {'0' * 29}",
        "outside",
        "<Apr>",
    ):
        assert expected in text, expected
    assert "accuracy" not in text.lower()


@pytest.mark.parametrize(
    ("factor", "level", "text"),
    [
        (2.0, "bad", "error up 100 %"),
        (1.25, "doubtful", "predicted values drifted"),
        (1.0, "doubtful", "predicted values drifted"),
    ],
)
def test_the_level_follows_the_thresholds(factor: float, level: str, text: str) -> None:
    assert badge(findings(labelled(factor))) == (text, level)


def test_without_drift_the_level_is_that_of_the_error() -> None:
    same = replace(counters(), predictions=None)
    assert badge(findings(labelled(1.0), same)) == ("no drift found", "good")
    assert badge(findings(labelled(1.25), same)) == ("error up 25 %", "doubtful")
    # 40 labels are too few for any conclusion.
    few = values_of([15.0] * 40, [0.0] * 40, [100.0] * 40)
    assert badge(findings(few, same)) == ("no drift found", "good")
    assert "too few to compare" in summary(findings(few, same))[0]
    assert badge(findings(labelled(1.0), counters(drifted=True))) == (
        "1 feature drifted",
        "doubtful",
    )


def test_the_sentences_name_a_bias_and_no_rise() -> None:
    text = " ".join(
        summary(findings(labelled(1.0, bias=3.0), replace(counters(), predictions=None)))
    )
    assert "On average the model predicts 3." in text
    assert "min too little." in text
    text = " ".join(summary(findings(labelled(0.5))))
    assert "it has not risen" in text
    assert "On average" not in text


def test_without_labels_and_prometheus_the_page_says_so() -> None:
    found = findings(values_of([], [], []), Counters(error="it does not respond"))
    text = " ".join(Tags(to_html(found)).text.split())
    assert "drift unknown" in text
    assert "No distributions: it does not respond." in text
    assert "No actual value is known" in text
    assert "There are no actual values yet" in text
    assert "no actual value is known" in text
    assert "Segments are not recorded" in text


def test_a_reference_without_held_out_errors_has_no_comparison() -> None:
    model = replace(MODEL, reference=MODEL.reference.model_copy(update={"residuals": None}))
    assert model.is_regressor
    found = build_regressor_findings(
        model, Drift(), labelled(2.0), counters(), span=SPAN, periods=PERIODS
    )
    assert found.rise is None
    assert "there are no held-out errors to compare with" in summary(found)[0]
    assert "error on held-out rows" in to_html(found)


@pytest.mark.parametrize(
    ("typical", "value", "text"),
    [
        (4.0, 5.678, "5.68"),
        (0.01234, 0.5, "0.5000"),
        (1234.5, 98765.4, "98,765"),
        (1e-9, 2.5e-9, "2.5e-09"),
        (4.0, 1e12, "1e+12"),
        (4.0, None, "-"),
        (None, 1.0, "1.00"),
        (0.0, -1.0, "-1.00"),
    ],
)
def test_numbers_have_the_decimals_of_the_typical_one(
    typical: float | None, value: float | None, text: str
) -> None:
    assert number_format(typical)(value) == text


def test_a_sign_is_shown() -> None:
    text = signed(number_format(4.0))
    assert (text(1.0), text(-1.0), text(None)) == ("+1.00", "-1.00", "-")
