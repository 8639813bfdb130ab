"""The level and the sentences of a report, and its numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.samples.drift_report import (
    CLASSIFIER,
    REGRESSOR,
    counters,
    findings,
    rows_of,
    values,
    values_of,
)
from tidegate.monitoring.report.findings import Counters, Findings
from tidegate.monitoring.tasks.labelled_rows import LabelledRows
from tidegate.monitoring.tasks.number_format import number_format, percent, signed

DRIFTED = counters(REGRESSOR)
MOVED = counters(REGRESSOR, drifted=False)
STABLE = counters(REGRESSOR, drifted=False, predictions=False)
AWAY = Counters(error="away")
DOWN, POINTS = "accuracy down", "percentage points"


def labels(correct: int) -> LabelledRows:
    """Of 400 labels; the accuracy on held-out rows is 80 %."""
    return rows_of([15.0] * 400, [True] * correct + [False] * (400 - correct), [0.8] * 400)


@pytest.mark.parametrize(
    ("model", "rows", "counted", "expected"),
    [
        (CLASSIFIER, labels(320), Counters(), ("no drift found", "good")),
        (CLASSIFIER, labels(320), counters(CLASSIFIER), ("1 feature drifted", "doubtful")),
        (CLASSIFIER, labels(304), AWAY, (f"{DOWN} 4.0 {POINTS}, drift unknown", "doubtful")),
        (CLASSIFIER, labels(288), counters(CLASSIFIER), (f"{DOWN} 8.0 {POINTS}", "bad")),
        (CLASSIFIER, labels(288), AWAY, (f"{DOWN} 8.0 {POINTS}, drift unknown", "bad")),
        # The factor is that of the error, relative to held-out rows.
        (REGRESSOR, values(1.0), STABLE, ("no drift found", "good")),
        (REGRESSOR, values(1.0), DRIFTED, ("1 feature drifted", "doubtful")),
        (REGRESSOR, values(1.25), MOVED, ("predicted values drifted", "doubtful")),
        (REGRESSOR, values(1.25), STABLE, ("error up 25 %", "doubtful")),
        (REGRESSOR, values(1.0), AWAY, ("drift unknown", "doubtful")),
        (REGRESSOR, values(2.0), DRIFTED, ("error up 100 %", "bad")),
    ],
)
def test_the_badge_shows_the_worst_finding(
    model: Any, rows: LabelledRows, counted: Counters, expected: tuple[str, str]
) -> None:
    assert findings(model, rows, counted).badge == expected


@pytest.mark.parametrize(
    "found",
    [
        findings(CLASSIFIER, rows_of([15.0] * 10, [False] * 10, [0.8] * 10), Counters()),
        findings(
            replace(CLASSIFIER, accuracy=None),
            rows_of([15.0] * 400, [False] * 400, [0.8] * 400),
            Counters(),
        ),
        findings(REGRESSOR, values_of([15.0] * 40, [0.0] * 40, [100.0] * 40), Counters()),
    ],
    ids=["few labels", "accuracy not measured", "few values"],
)
def test_without_enough_to_compare_nothing_is_worse(found: Findings) -> None:
    assert found.badge == ("no drift found", "good")


FEW = values_of([15.0] * 40, [0.0] * 40, [100.0] * 40)


@pytest.mark.parametrize(
    ("rows", "counted", "texts"),
    [
        (FEW, STABLE, ["fewer than 300 values are too few to compare them."]),
        (
            values(2.0),
            DRIFTED,
            ["8.00 min, on held-out rows 4.00 min: it has risen by 100 %, which"],
        ),
        (values(1.02), STABLE, ["chance may explain the difference of 2 %"]),
        (values(0.5), DRIFTED, ["it has not risen"]),
        (values(1.0, bias=3.0), STABLE, ["On average the model predicts 3.", "min too little."]),
        (values(1.0, bias=-3.0), STABLE, ["On average", "min too much."]),
        (values(1.0), DRIFTED, ["values are inside the predicted interval, 91.0%", "(PSI "]),
    ],
)
def test_the_sentences_compare_errors_bias_coverage_and_predictions(
    rows: LabelledRows, counted: Counters, texts: list[str]
) -> None:
    said = " ".join(findings(REGRESSOR, rows, counted).summary)
    for text in texts:
        assert text in said
    assert ("On average" in said) is any("On average" in text for text in texts)


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


def test_a_sign_or_a_percent_sign_is_shown() -> None:
    text = signed(number_format(4.0))
    assert (text(1.0), text(-1.0), text(None)) == ("+1.00", "-1.00", "-")
    assert (percent(0.125), percent(None), percent(float("nan"))) == ("12.5%", "-", "-")
