"""A load test of 300 requests: its recording, its signals and its summary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.figures import summarize
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.series import RunSeries, run_series
from tidegate.loadgen.report.summary import Setup, Summary
from tidegate.loadgen.send.record import Recording

START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SETUP: Final = Setup(
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
# One replica, from 10 s on two; a queue that comes and goes.
SIGNALS: Final = Signals(
    ready=[(float(at), 1.0 if at < 10 else 2.0) for at in range(30)],
    desired=[(float(at), 1.0 if at < 5 else 2.0) for at in range(30)],
    queue=[(float(at), float(max(0, 10 - abs(at - 10)))) for at in range(30)],
)


def recorded() -> Recording:
    """300 requests in 30 s, answered after 100 ms, those of 5 to 15 s after 2 s; none fails."""
    planned = [number / 10 for number in range(300)]
    made = Recording(planned, [REQUEST_KINDS[number % 3] for number in range(300)])
    for row, at in enumerate(planned):
        made.sent[row] = at + 0.001
        made.answer(row, at + (2.0 if 5 <= at < 15 else 0.1), 200, f"{row:032x}")
    return made


def unanswered() -> Recording:
    """Two requests that were never sent."""
    return Recording([0.0, 1.0], ["light", "light"])


def refused_from(row: int) -> Recording:
    """The same requests, but from this one on each connection is refused at once."""
    made = recorded()
    for each in range(row, 300):
        made.status[each] = 0
        made.fail(each, made.sent[each] + 0.0001, "connection refused")
    return made


def summary_of(
    recording: Recording, signals: Signals = SIGNALS, *, interrupted: bool = False, **setup: Any
) -> Summary:
    """The summary of a record; keyword arguments replace parts of the setup."""
    return summarize(
        recording,
        signals,
        SETUP.model_copy(update=setup),
        started_at=START,
        ended_at=START + timedelta(seconds=30),
        interrupted=interrupted,
    )


def series_of(
    recording: Recording, signals: Signals = SIGNALS, summary: Summary | None = None
) -> RunSeries:
    """The run over time."""
    return run_series(summary or summary_of(recording, signals), recording, signals)
