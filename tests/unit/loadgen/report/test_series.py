"""A run over time: bins, spans over the objective, and the sentences about them."""

from __future__ import annotations

import numpy as np
import pytest

from support.samples.load_run import (
    SIGNALS,
    recorded,
    series_of,
    summary_of,
    unanswered,
)
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.series import bin_width, narrative, spans_over


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
def test_the_bin_width_depends_on_duration_and_requests(
    end: float, requests: int, width: float
) -> None:
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
def test_a_gap_of_one_bin_does_not_end_a_span(
    values: list[float], spans: list[tuple[float, float]]
) -> None:
    times = np.arange(len(values), dtype=np.float64) + 0.5
    assert list(spans_over(times, np.array(values, dtype=np.float64), 2.0, 1.0)) == spans


def test_the_series_count_requests_by_planned_send_and_end_time() -> None:
    run = series_of(recorded())
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
    assert series_of(unanswered(), Signals()).end == 30.0


@pytest.mark.parametrize(
    ("slo", "ready", "sentences"),
    [
        (
            0.5,
            SIGNALS.ready,
            [
                "p95 exceeded the objective of 500 ms after 5 s.",
                "The number of ready replicas rose from 1 to 2 after 10 s.",
                "From 15 s on, p95 stayed within the objective.",
            ],
        ),
        (
            3.0,
            [(0.0, 2.0), (1.0, 2.0)],
            [
                "p95 stayed within the objective of 3000 ms during the whole run.",
                "The number of ready replicas stayed at 2.",
            ],
        ),
        (
            0.05,
            [],
            [
                "p95 exceeded the objective of 50 ms after 0 s.",
                "At the end p95 was still above the objective.",
            ],
        ),
        (None, [], []),
    ],
)
def test_the_narrative_says_when_p95_exceeded_the_objective_and_when_replicas_came(
    slo: float | None, ready: list[tuple[float, float]], sentences: list[str]
) -> None:
    summary = summary_of(recorded(), slo_seconds=slo)
    assert narrative(series_of(recorded(), Signals(ready=ready), summary)) == sentences
