"""The score of a run."""

import numpy as np
import pytest

from tidegate.lab.simulator.run import Run
from tidegate.lab.simulator.score import binned, reversals, score


def run(*requests: tuple[float, float]) -> Run:
    """A run of 60 s in which requests of (arrival, response) came."""
    arrivals, responses = np.array(requests, np.float64).reshape(-1, 2).T
    return Run(60.0, arrivals, responses, [], 123.0)


def test_a_bin_violates_if_its_p95_exceeds_the_objective() -> None:
    # Bin 0: 4 of 100 are late. Bin 1: 6 of 100 are. Bin 2 is empty. Bin 5: the only one is late.
    bins = [(1, 9.0)] * 4 + [(2, 0.1)] * 96 + [(11, 9.0)] * 6 + [(12, 0.1)] * 94 + [(55, 9.0)]
    found = score(run(*bins), 0.5)
    assert (found.violation_seconds, found.replica_seconds) == (20.0, 123.0)
    assert found.over_slo_ratio == pytest.approx(11 / 201)


def test_a_response_equal_to_the_objective_is_no_violation() -> None:
    found = score(run((1, 0.5)), 0.5)
    assert (found.violation_seconds, found.over_slo_ratio) == (0.0, 0.0)


def test_the_quantile_of_a_bin_is_a_response_that_occurred() -> None:
    # The 19th of 20, and the 10th of 10; an interpolated p95 of them would be 0.46 and 4.6.
    twenty = [(1.0, 0.1)] * 19 + [(1.0, 9.0)]
    assert binned(run(*twenty), 0.95)[1].tolist() == [0.1]
    assert binned(run(*twenty[10:]), 0.95)[1].tolist() == [9.0]
    assert score(run(*twenty), 0.4).violation_seconds == 0


def test_the_cost_is_also_per_million_requests_within_the_objective() -> None:
    found = score(run((1, 0.1), (1, 0.1), (1, 0.1), (1, 9.0)), 0.5)
    assert found.cost_per_million == pytest.approx(123.0 / 3 * 1e6)
    assert score(run((1, 9.0)), 0.5).cost_per_million == 0


def test_bins_are_by_arrival_time() -> None:
    at, p95 = binned(run((9.9, 30.0), (10.0, 1.0)), 0.95)
    assert (at.tolist(), p95.tolist()) == ([5.0, 15.0], [30.0, 1.0])


def test_a_run_without_requests_has_no_violation() -> None:
    found = score(run(), 0.5)
    assert (found.violation_seconds, found.over_slo_ratio, found.reversals) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    ("changes", "count"),
    [
        ([], 0),
        ([(0, 1), (10, 1)], 0),
        ([(0, 1), (10, -1)], 1),
        ([(0, 1), (5, 0), (10, -1), (20, 1)], 2),
        ([(0, 1), (600, -1)], 1),
        ([(0, 1), (601, -1)], 0),
        ([(0, 3), (400, 1), (900, -2), (2000, -1), (2100, 5)], 2),
    ],
)
def test_a_reversal_is_a_change_opposite_to_the_last_one(
    changes: list[tuple[float, int]], count: int
) -> None:
    assert reversals(changes) == count
