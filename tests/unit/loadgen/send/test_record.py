"""The recording of a run: sent, answered and failed requests, and the file."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tidegate.loadgen.plan.plan import PlannedRequest
from tidegate.loadgen.send.record import (
    COLUMNS,
    INTERRUPTED,
    Recording,
    to_csv,
)


@pytest.fixture
def mixed() -> Recording:
    """One of each fate: good, 503, redirect, timeout, interrupted, not sent in time, never sent."""
    made = Recording.of([PlannedRequest(float(row), "medium", 0) for row in range(7)])
    made.sent[:5] = made.planned[:5] + 0.25
    made.answer(0, 1.0, 200, "a" * 32)
    made.answer(1, 2.0, 503, "b" * 32)
    made.answer(2, 3.0, 307, "")
    made.fail(3, 63.0, "timeout")
    made.interrupt(4)
    made.fail(5, 5.0, "too many in flight")
    return made


def test_each_result_is_counted_once(mixed: Recording) -> None:
    assert mixed.was_sent.tolist() == [True, True, True, True, True, False, False]
    assert mixed.answered.tolist() == [True, True, True, False, False, False, False]
    assert mixed.failed.tolist() == [False, True, True, True, False, True, False]
    assert mixed.errors() == {"HTTP 503": 1, "HTTP 307": 1, "timeout": 1, "too many in flight": 1}
    assert [mixed.error(row) for row in (0, 4, 6)] == ["", INTERRUPTED, ""]


def test_response_times_start_at_the_planned_time_and_service_times_at_sending(
    mixed: Recording,
) -> None:
    assert mixed.response[:4].tolist() == [1.0, 1.0, 1.0, 60.0]
    assert mixed.service[:4].tolist() == [0.75, 0.75, 0.75, 59.75]
    assert mixed.lag[:5].tolist() == [0.25] * 5


def test_the_csv_has_the_documented_columns(mixed: Recording) -> None:
    lines = list(csv.DictReader(to_csv(mixed)))
    assert tuple(lines[0]) == COLUMNS
    assert lines[1] == {
        "planned_s": "1.000000",
        "sent_s": "1.250000",
        "finished_s": "2.000000",
        "kind": "medium",
        "rows": "32",
        "status": "503",
        "error": "HTTP 503",
        "response_s": "1.000000",
        "service_s": "0.750000",
        "lag_s": "0.250000",
        "trace_id": "b" * 32,
        "first_byte_s": "",
    }
    assert lines[6]["sent_s"] == lines[6]["status"] == lines[6]["response_s"] == ""


def test_response_times_end_with_the_byte_that_is_asked_for(mixed: Recording) -> None:
    mixed.first_byte[:2] = [0.5, 1.5]
    mixed.until = "first-byte"
    # The third response has no body, and the fourth request never had a response.
    assert mixed.response[:4].tolist() == [0.5, 0.5, 1.0, 60.0]
    assert mixed.response_until("last-byte")[:4].tolist() == [1.0, 1.0, 1.0, 60.0]
    assert mixed.response_or_infinity[:4].tolist() == [0.5, np.inf, np.inf, np.inf]
