"""Traffic that repeats: its forecast, the back-test that decides whether it is used, and what it changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.simulator.comparison import TraceSpec, run_one
from tidegate.autoscaler.simulator.score import score
from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.sloq.repetition import Foreseen, Repetition, foresee, learn_repetition
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Signals

HORIZON = 35.0
PARAMETERS = SloqParameters(min=1, max=40, slo_seconds=0.6)
DECIDE = sloq(PARAMETERS)
WITHOUT = sloq(replace(PARAMETERS, repeats=0))

Rate = Callable[[float], float]


def periodic(now: float) -> float:
    """120/s for 30 s every 5 minutes, else 30/s."""
    return 120.0 if now % 300 >= 270 else 30.0


def follow(rate: Rate, seconds: float, known: Repetition = Repetition(), begin: float = 0.0) -> Any:
    """What is known, at each tick from `begin` on."""
    found = [(begin, known)]
    for now in np.arange(begin + 5.0, begin + seconds, 5.0):
        known = learn_repetition(
            known,
            rate(now),
            now,
            foreseen=foresee(known, now, HORIZON).rate,
            expected=rate(now),
            horizon_seconds=HORIZON,
            peakedness=1.0,
        )
        found.append((float(now), known))
    return found


def test_three_right_forecasts_are_the_proof() -> None:
    found = follow(periodic, 2400.0)
    first = next(at for at, known in found if known.period)
    proven = next(at for at, known in found if known.proven)
    # Two periods show a third burst, which is the first case.
    assert 600 <= first <= 660
    assert 1470 <= proven <= 1500
    assert found[-1][1].period == pytest.approx(300, abs=5)


def test_a_burst_is_foreseen_before_it_comes_and_not_afterwards() -> None:
    known = follow(periodic, 2400.0)[-1][1]
    foreseen = {at: foresee(known, at, HORIZON).rate for at in (2440.0, 2625.0, 2655.0, 2700.0)}
    assert foreseen[2625.0] == foreseen[2655.0] == 120.0
    assert foreseen[2440.0] == foreseen[2700.0] == 30.0


def test_a_burst_that_was_not_repeated_is_not_foreseen() -> None:
    def once(now: float) -> float:
        return 400.0 if 1230 <= now < 1260 else periodic(now)

    known = follow(once, 1500.0)[-1][1]
    assert known.period == pytest.approx(300, abs=5)
    # Half more than usual is prepared for, not the whole burst.
    assert foresee(known, 1525.0, HORIZON) == Foreseen(30.0, 45.0)


def test_the_proof_is_lost_when_bursts_no_longer_come() -> None:
    known = follow(periodic, 2400.0)[-1][1]
    assert known.proven
    later = follow(lambda now: 30.0, 1500.0, known, 2400.0)
    lost = next(at for at, one in later if not one.proven)
    # The second forecast that is wrong.
    assert 2950 <= lost <= 3100


def test_the_proof_is_lost_at_once_when_replicas_were_missing() -> None:
    known = follow(periodic, 2400.0)[-1][1]
    missed = learn_repetition(
        known,
        120.0,
        2405.0,
        foreseen=30.0,
        expected=30.0,
        horizon_seconds=HORIZON,
        peakedness=1.0,
        missed=True,
    )
    assert (known.proven, missed.proven, missed.period) == (True, False, known.period)


def test_a_burst_that_only_the_reserve_would_have_covered_ends_the_proof() -> None:
    bins = tuple(120.0 if number % 20 >= 18 else 30.0 for number in range(80))
    known = Repetition(bins=bins, end=1200.0, period=300.0, cases=(True,) * 6)
    state = after(known, reserve=90.0)
    state |= {"expected": [[1165.0, 30.0]], "expected_beyond": [[1165.0, 30.0]]}

    def proven(rate: float, beyond: float) -> bool:
        state["reserve_beyond"] = beyond
        return SloqState.from_json(DECIDE(state, at_tick(rate), 1205.0).state).repetition.proven

    assert (proven(120.0, 2.0), proven(120.0, 85.0), proven(30.0, 2.0)) == (False, True, True)


def test_a_gap_in_the_rates_begins_anew_and_keeps_no_period() -> None:
    known = follow(periodic, 2400.0)[-1][1]
    after = follow(periodic, 200.0, known, 2700.0)[-1][1]
    assert (len(after.bins) < 20, after.period, after.proven) == (True, 0.0, False)


@pytest.mark.parametrize("seed", range(6))
def test_bursts_at_random_times_prove_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    begins = np.cumsum(random.exponential(300.0, 100))

    def rate(now: float) -> float:
        since = now - begins[max(0, int(np.searchsorted(begins, now)) - 1)]
        return float(random.poisson(15 * (120.0 if 0 <= since < 30 else 30.0)) / 15)

    assert not any(known.proven for _, known in follow(rate, 10_000.0))


REPEATING = st.builds(
    lambda bins, period, right: Repetition(
        bins=tuple(bins), end=1200.0, period=period, cases=(True,) * right
    ),
    st.lists(st.floats(0, 500), min_size=60, max_size=80),
    st.floats(60, 400),
    st.integers(0, 6),
)


def at_tick(rate: float, desired: int = 5) -> Signals:
    return Signals(
        arrival_rate=rate,
        service_seconds=0.2,
        in_system=0.2 * rate,
        slots_per_replica=4,
        ready=desired,
        running=desired,
        desired=desired,
        latency_seconds=0.4,
        age_seconds=1.0,
        arrival_rate_60s=rate,
        service_seconds_p95=0.46,
    )


def after(repetition: Repetition, reserve: float = 0.0) -> dict[str, Any]:
    state = SloqState(
        now=1200.0,
        ready=5,
        running=5,
        targets=((1200.0, 1.0),),
        reserve=reserve,
        repetition=repetition,
    )
    return state.to_json()


@given(REPEATING, st.floats(0, 500), st.integers(1, 40), st.floats(0, 100))
def test_a_forecast_only_ever_adds_replicas(
    known: Repetition, rate: float, desired: int, reserve: float
) -> None:
    seen = at_tick(rate, desired)
    nothing = known.model_copy(update={"bins": (0.0,) * len(known.bins)})
    with_it, without = (
        DECIDE(after(one, reserve), seen, 1205.0).desired for one in (known, nothing)
    )
    assert without <= with_it <= 40


@given(REPEATING, st.floats(0, 500), st.floats(0, 300))
def test_a_higher_rate_never_leads_to_fewer_replicas(
    known: Repetition, rate: float, more: float
) -> None:
    state = after(known)
    lower, higher = (DECIDE(state, at_tick(one), 1205.0) for one in (rate, rate + more))
    assert lower.desired <= higher.desired


@given(REPEATING, st.floats(0, 500), st.integers(1, 40), st.floats(0, 100))
def test_without_a_proof_nothing_changes(
    known: Repetition, rate: float, desired: int, reserve: float
) -> None:
    state = after(known.model_copy(update={"cases": (True, True, False)}), reserve)
    with_it, without = (one(state, at_tick(rate, desired), 1205.0) for one in (DECIDE, WITHOUT))
    assert (with_it.desired, with_it.explanation) == (without.desired, without.explanation)


def test_the_explanation_says_what_is_expected_and_how_often_that_was_right() -> None:
    bins = tuple(120.0 if number % 20 >= 18 else 30.0 for number in range(80))
    known = Repetition(bins=bins, end=1200.0, period=300.0, cases=(True, False, True, True, True))
    decision = DECIDE(after(known), at_tick(30.0), 1430.0)
    assert decision.explanation.startswith("5 → 8: 120 requests/s ×")  # noqa: RUF001
    assert (
        "traffic repeats every 300 s: 120 requests/s are expected within 65 s; 4 of the last 5 such"
        " forecasts were right"
    ) in decision.explanation
    expected = {"period_seconds": 300.0, "rate_foreseen": 120.0, "repeats": True}
    assert expected.items() <= decision.inputs.items()
    assert (decision.inputs["foreseen_right"], decision.inputs["foreseen_cases"]) == (4, 5)


def test_periodic_bursts_cost_less_and_violate_no_more() -> None:
    spec = TraceSpec("bursts-periodic")
    with_it, without = (
        score(run_one(words, spec, System(), 0), 0.6) for words in ("sloq", "sloq:repeats=0")
    )
    assert with_it.replica_seconds < 0.85 * without.replica_seconds
    assert with_it.violation_seconds <= without.violation_seconds


def test_irregular_bursts_are_served_as_without_it() -> None:
    spec = TraceSpec("bursts-irregular")
    with_it, without = (
        score(run_one(words, spec, System(), 0), 0.6) for words in ("sloq", "sloq:repeats=0")
    )
    assert with_it == without
