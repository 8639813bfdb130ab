"""A label of a regressor is a number, counted by its distance from the predicted value."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.harnesses.feedback import AT_US, KEY, REQUEST, Feedback
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.tasks.regression import ValueTruth

DIGEST = ValueTruth("m", target="delay", unit="min").digest
IN_SECONDS = ValueTruth("m", target="delay", unit="s").digest
IDS = PredictionIds(KEY, "1", DIGEST)
EARLIER_VERSION = PredictionIds(KEY, "0", DIGEST)


class RegressorFeedback(Feedback):
    """That of a regressor."""

    def __init__(self) -> None:
        super().__init__(ValueTruth("m", target="delay", unit="min", coverage=0.91))

    def errors(self) -> tuple[float | None, ...]:
        """The number of residuals inside, outside and without an interval, and the sums of errors."""
        counts = (
            self.value("ml_residuals_total", inside=each) for each in ("true", "false", "unknown")
        )
        sums = ("ml_absolute_error_total", "ml_squared_error_total")
        return (*counts, *map(self.value, sums))


def id_of(value: float, half_width: float | None = None, ids: PredictionIds = IDS) -> str:
    (text,) = ids.make_values(AT_US, REQUEST, [value], half_width)
    return text


def test_residuals_are_counted_by_the_interval_that_was_answered() -> None:
    feedback = RegressorFeedback()
    inside = feedback.accept(id_of(10.0, 2.0), 12)
    outside = feedback.accept(id_of(10.5, 2.0), 8)
    without = feedback.accept(id_of(11.0), 11.5)
    found = [each.values for each in (inside, outside, without)]
    assert [each.get("inside") for each in found] == [True, False, None]
    assert [each["residual"] for each in found] == [2, -2.5, 0.5]
    assert feedback.errors() == (1, 1, 1, 2 + 2.5 + 0.5, 4 + 6.25 + 0.25)
    assert feedback.value("ml_label_lag_seconds_sum") == 60


def test_the_event_has_the_residual_and_the_interval() -> None:
    fields = RegressorFeedback().accept(id_of(10.0, 2.0), 13).fields("m")
    assert (fields["trace"]["id"], fields["span"]["id"]) == REQUEST
    assert fields["tidegate"] == {
        "model": {"name": "m", "version": "1"},
        "outcome": {
            "predicted_value": 10.0,
            "actual_value": 13.0,
            "residual": 3.0,
            "inside": False,
            "half_width": 2.0,
            "coverage": 0.91,
            "lag_seconds": 20.0,
            "row": 0,
        },
    }


def test_the_event_has_no_interval_if_none_was_answered() -> None:
    outcome = RegressorFeedback().accept(id_of(10.0, ids=EARLIER_VERSION), 13).fields("m")
    names = {"predicted_value", "actual_value", "residual", "lag_seconds", "row"}
    assert set(outcome["tidegate"]["outcome"]) == names


@pytest.mark.parametrize(
    ("prediction_id", "label", "reason"),
    [
        (id_of(1.0), "12", "unknown_label"),
        (id_of(1.0), None, "unknown_label"),
        (id_of(1.0), True, "unknown_label"),
        (id_of(1.0), [1.0], "unknown_label"),
        (id_of(1.0), math.nan, "unknown_label"),
        (id_of(1.0), math.inf, "unknown_label"),
        (id_of(1.0), 1e101, "unknown_label"),
        (id_of(1.0), -(10**400), "unknown_label"),
        (id_of(math.nan), 1.0, "unknown_label"),
        (id_of(math.inf), 1.0, "unknown_label"),
        (id_of(1.0, ids=PredictionIds(KEY, "1", IN_SECONDS)), 1.0, "foreign_version"),
    ],
)  # fmt: skip
def test_an_invalid_label_is_refused_with_its_reason(
    prediction_id: str, label: object, reason: str
) -> None:
    feedback = RegressorFeedback()
    assert feedback.refused(prediction_id, label) == reason
    assert feedback.errors() == (0, 0, 0, 0, 0)


def test_the_id_of_a_class_is_not_one_of_a_value() -> None:
    # Each other's digests differ; this one has a class in an id with the digest of a target.
    (text,) = IDS.make(AT_US, REQUEST, ["1"], [0.5])
    assert RegressorFeedback().refused(text, 1.0) == "foreign_version"


def test_a_label_in_a_wrong_unit_does_not_hide_later_errors() -> None:
    feedback = RegressorFeedback()
    texts = IDS.make_values(AT_US, REQUEST, [0.0, 0.0], 1.0)
    assert feedback.accept(texts[0], 1e30).values["residual"] == 1e30
    *_, absolute, squared = feedback.errors()
    feedback.accept(texts[1], 3.0)
    assert absolute is not None
    assert squared is not None
    assert feedback.errors()[3:] == (absolute + 3, squared + 9) != (absolute, squared)


numbers = st.floats(-1e100, 1e100)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
def test_the_counters_stay_finite(pairs: list[tuple[float, float]]) -> None:
    feedback = RegressorFeedback()
    texts = IDS.make_values(AT_US, REQUEST, [predicted for predicted, _ in pairs], 0.0)
    for text, (_, actual) in zip(texts, pairs, strict=True):
        feedback.accept(text, actual)
    *_, absolute, squared = feedback.errors()
    assert all(each is not None and math.isfinite(each) for each in (absolute, squared))
    assert sum(each or 0 for each in feedback.errors()[:3]) == len(pairs)
