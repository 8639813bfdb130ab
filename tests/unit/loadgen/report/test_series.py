"""A run in the course of time: bins, spans over the objective, and the story they tell."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.series import bin_width, course, rises, spans_over, story
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.send.record import Recording


@pytest.mark.parametrize(
    ("end", "requests", "width"),
    [
        (40, 1200, 1),
        (40, 100, 5),
        (120, 2800, 1),
        (600, 20_000, 5),
        (7200, 500_000, 60),
        (3, 2, 1),
        (40, 1, 5),
        (86_400 * 30, 1_000_000, 3600),
    ],
)
def test_bins_are_neither_too_many_nor_too_thin(end: float, requests: int, width: float) -> None:
    assert bin_width(end, requests) == width


@pytest.mark.parametrize(
    ("values", "spans"),
    [
        ([1, 1, 1], []),
        ([9, 1, 1], [(0, 1)]),
        ([1, 9, 9, 1], [(1, 3)]),
        ([9, 1, 9, 1, 1, 9], [(0, 3), (5, 6)]),
        ([np.nan, 9, np.nan, 9], [(1, 4)]),
        ([2, 2], []),
    ],
)
def test_spans_over_a_limit_bridge_a_single_bin(
    values: list[float], spans: list[tuple[float, float]]
) -> None:
    times = np.arange(len(values), dtype=np.float64) + 0.5
    assert list(spans_over(times, np.array(values, dtype=np.float64), 2.0, 1.0)) == spans


def test_rises_are_where_a_series_went_up() -> None:
    assert list(rises([(0, 1), (1, 1), (2, 3), (3, 2), (4, 3)])) == [(2, 3), (4, 3)]


def test_the_course_counts_each_thing_by_its_own_time(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    run = course(recording, signals, summary_of(recording))
    assert run.width == 1.0
    assert run.end == pytest.approx(30.0)
    assert run.planned[:30].tolist() == [10.0] * 30
    assert run.sent.sum() == 300
    assert run.answered.sum() == 300
    # Requests planned from 5 s on take 2 s, so their answers are missing from 5.1 s to 7 s.
    assert run.answered[5:7].tolist() == [1.0, 0.0]
    assert run.quantiles["p95"][4] == pytest.approx(0.1)
    assert run.quantiles["p95"][5] == pytest.approx(2.0)
    assert run.breaches == ((5.0, 15.0),)
    assert sorted(run.p95_of) == ["heavy", "light", "medium"]


def test_a_recovery_is_told_with_its_times(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    assert story(course(recording, signals, summary_of(recording))) == [
        "p95 went over the objective of 500 ms after 5 s.",
        "Ready replicas rose from 1 to 2 after 10 s.",
        "p95 was back within it after 15 s and stayed there.",
    ]


def test_a_run_within_the_objective_is_told_so(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    signals.ready[:] = [(0.0, 2.0), (1.0, 2.0)]
    assert story(course(recording, signals, summary_of(recording, slo_seconds=3.0))) == [
        "p95 stayed within the objective of 3000 ms all the time.",
        "Ready replicas stayed at 2.",
    ]


def test_a_run_that_never_recovered_is_told_so(
    recording: Recording, summary_of: Callable[..., Summary]
) -> None:
    told = story(course(recording, Signals(), summary_of(recording, slo_seconds=0.05)))
    assert told == [
        "p95 went over the objective of 50 ms after 0 s.",
        "p95 was not back within it at the end.",
    ]


def test_a_target_that_went_down_did_not_recover(
    recording: Recording, signals: Signals, summary_of: Callable[..., Summary]
) -> None:
    for row in range(150, 300):
        recording.status[row] = 0
        recording.fail(row, recording.sent[row] + 0.0001, "connection refused")
    run = course(recording, signals, summary_of(recording))
    assert np.isinf(run.quantiles["p95"][15:30]).all()
    assert run.breaches == ((5.0, 30.0),)
    assert len(run.good[0]) == len(run.bad[0]) == 150
    assert story(run)[-1] == "p95 was not back within it at the end."


def test_a_run_without_an_answer_has_a_course(summary_of: Callable[..., Summary]) -> None:
    silent = Recording([0.0, 1.0], ["light", "light"])
    run = course(silent, Signals(), summary_of(silent))
    assert np.isnan(run.quantiles["p95"]).all()
    assert run.end == 30.0
