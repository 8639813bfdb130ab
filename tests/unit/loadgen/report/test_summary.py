"""The summary: the figures of a run, and whether they are valid."""

from __future__ import annotations

import json

import numpy as np
import pytest

from support.samples.load_run import recorded, refused_from, summary_of, unanswered
from tidegate.loadgen.report.figures import achieved_ratio, quantile
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import duration_text

# The names that others rely on.
PROMISED = [
    *("planned", "sent", "answered", "failed"),
    *("response_p50_seconds", "response_p95_seconds", "response_p99_seconds", "lag_p99_seconds"),
    *("replicas_min", "replicas_max", "by_kind", "thresholds", "valid", "scenario", "seed"),
    *("started_at", "ended_at", "response_p95_last_third_seconds"),
]


@pytest.mark.parametrize(
    ("values", "q", "expected"),
    [
        ([], 0.5, None),
        ([float("nan")], 0.5, None),
        ([1.0], 0.99, 1.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0),
        ([float(number) for number in range(1, 101)], 0.95, 95.0),
        ([float(number) for number in range(1, 101)], 0.951, 96.0),
        ([3.0, float("nan"), 1.0], 1.0, 3.0),
    ],
)
def test_a_quantile_is_one_of_the_values(
    values: list[float], q: float, expected: float | None
) -> None:
    assert quantile(np.array(values, dtype=np.float64), q) == expected


def test_the_summary_has_the_documented_fields() -> None:
    summary = json.loads(summary_of(recorded()).model_dump_json())
    assert set(PROMISED) <= set(summary)
    assert list(summary)[:4] == PROMISED[:4]
    assert (summary["planned"], summary["sent"], summary["answered"]) == (300, 300, 300)
    assert (summary["failed"], summary["errors"]) == (0, {})
    assert (summary["response_p50_seconds"], summary["response_p95_seconds"]) == (0.1, 2.0)
    assert summary["response_p95_last_third_seconds"] == 0.1
    assert summary["lag_p99_seconds"] == 0.001
    assert (summary["replicas_min"], summary["replicas_max"]) == (1, 2)
    kinds = {kind: one["planned"] for kind, one in summary["by_kind"].items()}
    assert kinds == {"light": 100, "medium": 100, "heavy": 100}
    assert summary["valid"]
    assert len(summary["slowest"]) == 10
    assert summary["slowest"][0]["response_seconds"] == 2.0
    assert summary["slowest"][0]["trace_id"] == f"{50:032x}"


def test_a_run_without_responses_has_nulls_and_no_nan() -> None:
    text = summary_of(unanswered(), Signals()).model_dump_json()
    assert "NaN" not in text
    summary = json.loads(text)
    assert summary["response_p95_seconds"] is None
    assert summary["replicas_min"] is None
    assert (summary["achieved_ratio"], summary["valid"]) == (0.0, False)
    assert summary["slowest"] == []


def test_fast_failures_do_not_improve_percentiles() -> None:
    summary = summary_of(refused_from(200))
    assert (summary.answered, summary.failed) == (200, 100)
    # Two of three were answered, so p50 is that of an answer; p95 and p99 are among the failed.
    assert summary.response_p50_seconds == 2.0
    assert summary.response_p95_seconds is summary.response_p99_seconds is None
    assert summary.response_p95_last_third_seconds is None
    assert summary.service_p95_seconds is None
    assert summary.response_max_seconds == 2.0
    assert summary.response_mean_seconds == pytest.approx(1.05)


def test_few_failures_do_not_affect_lower_percentiles() -> None:
    run = recorded()
    run.answer(0, 0.001, 503, "")
    summary = summary_of(run)
    assert (summary.answered, summary.failed) == (300, 1)
    assert summary.response_p99_seconds == 2.0


@pytest.mark.parametrize(
    ("row", "late", "reason"),
    [
        (0, 0.02, "the p99 of the send lag is 20.0 ms, the maximum is 10 ms"),
        (10, np.nan, "98.7% of the planned rate was achieved, the minimum is 99%"),
    ],
)
def test_a_run_that_sent_too_late_or_too_little_is_invalid_with_the_reason(
    row: int, late: float, reason: str
) -> None:
    run = recorded()
    run.sent[row : row + 4] = run.planned[row : row + 4] + late
    summary = summary_of(run)
    assert not summary.valid
    (found,) = summary.invalid_reasons
    assert reason in found


def test_sending_too_slowly_reduces_the_achieved_ratio() -> None:
    run = recorded()
    run.sent[:] = run.planned * 1.25
    assert achieved_ratio(run) == pytest.approx(0.8)


def test_an_accepted_lag_makes_a_run_valid_and_no_rate_that_was_not_achieved() -> None:
    run = recorded()
    run.sent[:] = run.planned * 1.25
    summary = summary_of(run, max_lag_seconds=10)
    assert summary.valid
    assert summary.achieved_ratio == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 µs"),
        (0.000216, "216 µs"),
        (0.0033, "3.3 ms"),
        (0.035, "35 ms"),
        (0.9994, "999 ms"),
        (1.0, "1.00 s"),
        (61.25, "61.25 s"),
        (125.0, "125 s"),
    ],
)
def test_a_duration_is_formatted_with_its_unit(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text
