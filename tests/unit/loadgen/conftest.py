"""A small recording, its signals, and its summary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import Setup, Summary, summarize
from tidegate.loadgen.send.record import Recording

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETUP = Setup(
    scenario="small",
    description="A run in a few rows.",
    arrivals="even",
    duration_seconds=30.0,
    seed=1,
    plan_sha256="0" * 64,
    url="http://127.0.0.1:8000/predict",
    method="POST",
    rows_file="rows.ndjson",
    timeout_seconds=60.0,
    slo_seconds=0.5,
    until="last-byte",
    prometheus=None,
    version="0.1.0",
)


@pytest.fixture
def signals() -> Signals:
    """One replica, from 10 s on two; a queue that comes and goes."""
    return Signals(
        ready=[(float(at), 1.0 if at < 10 else 2.0) for at in range(30)],
        desired=[(float(at), 1.0 if at < 5 else 2.0) for at in range(30)],
        queue=[(float(at), float(max(0, 10 - abs(at - 10)))) for at in range(30)],
    )


@pytest.fixture
def recording() -> Recording:
    """300 requests in 30 s, answered after 100 ms, those of 5 to 15 s after 2 s; none fails."""
    planned = [number / 10 for number in range(300)]
    made = Recording(planned, [REQUEST_KINDS[number % 3] for number in range(300)])
    for row, at in enumerate(planned):
        made.sent[row] = at + 0.001
        made.answer(row, at + (2.0 if 5 <= at < 15 else 0.1), 200, f"{row:032x}")
    return made


@pytest.fixture
def summary_of() -> Callable[..., Summary]:
    """Make the summary of a record; keyword arguments replace parts of the setup."""

    def make(
        recording: Recording,
        signals: Signals | None = None,
        *,
        interrupted: bool = False,
        **setup: Any,
    ) -> Summary:
        return summarize(
            recording,
            signals or Signals(),
            SETUP.model_copy(update=setup),
            started_at=START,
            ended_at=START + timedelta(seconds=30),
            interrupted=interrupted,
        )

    return make
