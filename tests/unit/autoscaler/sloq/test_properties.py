"""Properties of SLOQ."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from support.components import examples
from support.samples.signals import ANY_SIGNALS, BAD_SIGNALS, IN_PART_BAD_SIGNALS, VALID_SIGNALS
from tidegate.autoscaler.sloq.parameters import SloqParameters
from tidegate.autoscaler.sloq.policy import sloq
from tidegate.autoscaler.sloq.state import SloqState
from tidegate.autoscaler.types import Signals

PARAMETERS = SloqParameters(min=2, max=40, slo_seconds=0.6)
DECIDE = sloq(PARAMETERS)


def after(history: list[Signals]) -> tuple[dict[str, Any], float]:
    """The state after these signals, with ticks of 5 s."""
    state: dict[str, Any] = {}
    for number, seen in enumerate(history):
        state = DECIDE(state, seen, 5.0 * number).state
    return state, 5.0 * len(history)


HISTORIES = st.lists(ANY_SIGNALS | VALID_SIGNALS, max_size=12)


def test_a_percentile_near_zero_does_not_invalidate_the_state() -> None:
    seen = Signals(1.0, 0.1, 1.0, 4, 5, 5, 5, 0.1, 1.0, service_seconds_p95=0.5)
    state = DECIDE({}, seen, 0.0).state
    # So long after it that nothing is left of the one before.
    later = DECIDE(state, replace(seen, service_seconds_p95=1e-50), 1e6)
    assert SloqState.from_json(later.state).to_json() == later.state


def test_a_time_of_a_denormal_number_is_no_division_by_zero() -> None:
    # Half of it, as a replica of one slot works on two requests, is 0.
    seen = Signals(1.0, 5e-324, 1.0, 1, 5, 5, 5, 0.1, 1.0, busiest=2.0)
    assert DECIDE({}, seen, 0.0).inputs["occupancy"] == 0.5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(list(SloqState.model_fields)), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(st.sampled_from(list(SloqState.model_fields)), JSON, max_size=5), VALID_SIGNALS
)
def test_any_state_gives_a_decision_within_bounds(state: dict[str, Any], seen: Signals) -> None:
    assert 2 <= DECIDE(state, seen, 5.0).desired <= 40


BAD = st.sampled_from([*BAD_SIGNALS.values()])
IN_PART_BAD = st.sampled_from([wrong for wrong, _ in IN_PART_BAD_SIGNALS.values()])


@given(
    HISTORIES,
    st.tuples(ANY_SIGNALS, st.lists(BAD, min_size=1, max_size=30), st.just("no-signal"))
    | st.tuples(VALID_SIGNALS, st.lists(IN_PART_BAD, min_size=1, max_size=60), st.none()),
)
@settings(max_examples=examples(300))
def test_bad_data_never_removes_a_replica(
    history: list[Signals], case: tuple[Signals, list[dict[str, Any]], str | None]
) -> None:
    seen, bad, reason = case
    state, now = after(history)
    held = max(2, min(40, seen.desired))
    for number, wrong in enumerate(bad):
        decision = DECIDE(state, replace(seen, desired=held, **wrong), now + 5.0 * number)
        assert reason in {None, decision.reason}
        assert decision.desired >= held
        state, held = decision.state, decision.desired


@given(HISTORIES, VALID_SIGNALS, st.integers(2, 60))
def test_frozen_data_never_removes_a_replica(
    history: list[Signals], seen: Signals, ticks: int
) -> None:
    # Signals frozen while idle look like an idle service.
    assume(seen.service_seconds or seen.arrival_rate or seen.arrival_rate_60s or seen.in_system)
    state, now = after(history)
    seen = replace(seen, desired=max(2, min(40, seen.desired)))
    first = DECIDE(state, seen, now)
    state, held = first.state, first.desired
    for number in range(1, ticks):
        decision = DECIDE(state, replace(seen, desired=held), now + 5.0 * number)
        assert decision.desired >= held
        state, held = decision.state, decision.desired


@given(HISTORIES, VALID_SIGNALS, st.lists(st.floats(0, 1), min_size=1, max_size=18))
def test_counters_that_stop_never_remove_a_replica(
    history: list[Signals], seen: Signals, shares: list[float]
) -> None:
    assume(seen.in_system)
    state, now = after(history)
    decide = sloq(replace(PARAMETERS, down_seconds=1.0))
    first = decide(state, replace(seen, desired=max(2, min(40, seen.desired))), now)
    state, held = first.state, first.desired
    rate, minute = seen.arrival_rate or 0.0, seen.arrival_rate_60s or 0.0
    for number, share in enumerate(shares, 1):
        # Whatever the rates do, the requests in the system are the same.
        changed = replace(seen, arrival_rate=rate * share, arrival_rate_60s=minute * share)
        decision = decide(state, replace(changed, desired=held), now + 5.0 * number)
        assert decision.desired >= held
        state, held = decision.state, decision.desired


@given(HISTORIES, VALID_SIGNALS, st.floats(0, 1e9))
def test_more_arrivals_at_the_gateway_never_lead_to_fewer_replicas(
    history: list[Signals], seen: Signals, more: float
) -> None:
    state, now = after(history)
    seen = replace(seen, gateway_queued=0.0, gateway_seconds=1.0)
    higher = replace(seen, gateway_arrivals=(seen.gateway_arrivals or 0.0) + more)
    assert DECIDE(state, seen, now).desired <= DECIDE(state, higher, now).desired


@given(HISTORIES, ANY_SIGNALS)
def test_between_ticks_no_replica_is_removed(history: list[Signals], seen: Signals) -> None:
    state, now = after(history)
    decision = DECIDE(state, replace(seen, between=True), now + 1.0)
    assert decision.desired >= max(2, min(40, seen.desired))
