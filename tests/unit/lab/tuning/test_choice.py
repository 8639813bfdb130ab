"""`tidegate tune`: parts, the line, and the choice that must also hold on held-out parts."""

from __future__ import annotations

import numpy as np
import pytest

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Blackout, Slowness, Trace, TraceError
from tidegate.lab.tuning.choice import DEFAULT, choose, floor_of, parts_of, scores_of


def part(violations: float, cost: float) -> list[Score]:
    return [Score(violations, cost, 0.0, 0.01, requests=1000)]


def test_parts_are_the_trace_in_order() -> None:
    trace = Trace("shop", 60.0, np.arange(43.0))
    parts = parts_of(trace, 4)
    assert np.concatenate([one.rates for one in parts]).tolist() == trace.rates.tolist()
    assert [one.name for one in parts][-1] == "shop, part 4"


def test_a_part_is_slow_and_without_metrics_when_the_trace_is() -> None:
    trace = Trace(
        "shop",
        60.0,
        np.ones(40),
        (Slowness(1500, 1800, 2.0),),
        (Blackout(1300, 1400, "missing"),),
        (np.arange(40.0),),
    )
    first, second = parts_of(trace, 2)
    for at in range(0, 1200, 50):
        assert first.slowness(at) == trace.slowness(at)
        assert second.slowness(at) == trace.slowness(at + 1200)
    assert [(one.start, one.end) for one in second.blackouts] == [(100, 200)]
    assert [one.tolist() for one in second.earlier] == [list(range(20, 40))]


@pytest.mark.parametrize(
    ("minutes", "count", "words"), [(30, 4, "shorter"), (100, 1, "at least 2")]
)
def test_a_trace_too_short_for_its_parts_is_refused(minutes: int, count: int, words: str) -> None:
    with pytest.raises(TraceError, match=words):
        parts_of(Trace("shop", 60.0, np.ones(minutes)), count)


def test_the_line_has_what_no_other_policy_beats() -> None:
    found = choose(
        {
            DEFAULT: [part(10, 100), part(10, 100)],
            "cheap": [part(30, 50), part(30, 50)],
            "bad": [part(30, 60), part(30, 50)],
            "safe": [part(0, 300), part(0, 300)],
        },
        worth=1.0,
    )
    assert found.line == (DEFAULT, "cheap", "safe")
    assert found.totals["bad"].price == 170


def test_what_was_good_on_one_part_only_is_no_reason_to_leave_the_default() -> None:
    found = choose(
        {
            DEFAULT: [part(0, 100), part(0, 100), part(0, 100)],
            # Far cheaper once, by chance, so that it has the lowest price in sum.
            "lucky": [part(0, 20), part(0, 120), part(0, 120)],
            "other": [part(0, 130), part(0, 95), part(0, 130)],
        },
        worth=20.0,
    )
    assert found.totals["lucky"].price < found.totals[DEFAULT].price
    assert found.held_out_price > found.default_price
    assert found.best == DEFAULT


def test_violations_are_worth_what_is_said() -> None:
    scores = {DEFAULT: [part(10, 100)] * 2, "late": [part(20, 80)] * 2}
    assert choose(scores, worth=1.0).best == "late"
    assert choose(scores, worth=20.0).best == DEFAULT


def test_policies_are_simulated_on_every_part_from_the_number_that_it_needs() -> None:
    trace = Trace("shop", 60.0, np.repeat([10.0, 100.0], 15))
    parts = parts_of(trace, 2)
    scores = scores_of(["static:replicas=2", DEFAULT], parts, System(), 2, workers=1)
    assert [len(seeds) for seeds in scores[DEFAULT]] == [2, 2]
    # 100/s of 0.2 s need 8 replicas at 70 %, of which two are left after 5 s.
    cost = [seeds[0].replica_seconds for seeds in scores["static:replicas=2"]]
    assert cost == [2 * 900 - 5, pytest.approx(2 * 900 + 6 * 5, abs=5)]


def test_the_share_of_late_requests_counts_requests_and_not_parts() -> None:
    calm, busy = (Score(0, 50, 0, late, requests=n) for late, n in ((0.0, 100), (0.2, 900)))
    total = choose({DEFAULT: [[calm, calm], [busy, busy]]}, worth=1.0).totals[DEFAULT]
    assert total.over_slo_ratio == pytest.approx(0.18)
    assert total.cost_per_million == pytest.approx(1e6 * 100 / 820)


def test_the_floor_is_what_remains_with_the_maximum_at_all_times() -> None:
    # 100/s of 0.2 s need 20 slots.
    parts = parts_of(Trace("shop", 60.0, np.full(30, 100.0)), 2)
    few, enough = (System(slots=4, bounds=Bounds(1, most), start=1) for most in (4, 12))
    assert floor_of(parts, few, 1, workers=1) > 1700
    assert floor_of(parts, enough, 1, workers=1) < 60


def test_an_invalid_policy_is_refused_before_anything_runs() -> None:
    parts = parts_of(Trace("shop", 60.0, np.ones(30)), 2)
    with pytest.raises(ValueError, match="nonsense"):
        scores_of(["nonsense"], parts, System(), 1, workers=1)
