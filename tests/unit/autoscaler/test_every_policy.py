"""What holds for every policy by its name, whatever comes: also for one that is entered tomorrow.

And for what policies are composed to.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy, policy_from_parameters
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Decision, Signals

LOW, HIGH = 2, 40
CONTEXT = PolicyContext(Bounds(LOW, HIGH), slo_seconds=0.6)
COMPOSED = (
    "max(sloq,hpa:inflight=0.7)",
    "min(predictive,ray-serve:target=3,up_delay_seconds=0,keda)",
    "max(min(sloq,kpa),step):tick=3",
)
BUILT = [build_policy(words, CONTEXT) for words in (*POLICIES, *COMPOSED)]
every_policy = pytest.mark.parametrize("built", BUILT, ids=lambda built: built.expression)

ANY_NUMBER = st.none() | st.floats() | st.floats(0, 500)
GOOD = st.floats(0, 500)


def signals(number: st.SearchStrategy[Any], slots: st.SearchStrategy[Any]) -> Any:
    return st.builds(
        Signals,
        arrival_rate=number,
        service_seconds=st.none() | number.map(lambda value: value and value / 100),
        in_system=number,
        slots_per_replica=slots,
        ready=st.integers(-1, 60),
        running=st.integers(-1, 60),
        desired=st.integers(-5, 60),
        latency_seconds=st.none() | number,
        age_seconds=number,
        problem=st.sampled_from(["", "Prometheus is away"]),
        arrival_rate_60s=st.none() | number,
        service_seconds_p95=st.none() | number.map(lambda value: value and value / 100),
        busy=st.none() | number,
        busiest=st.none() | number,
        queued=st.none() | number,
        unix_seconds=st.none() | st.floats(0, 4e9),
        expected_rate=number,
    )


ANY = signals(ANY_NUMBER, st.none() | st.integers(-3, 300))
BELIEVABLE = signals(GOOD, st.integers(1, 16)).map(
    lambda seen: replace(
        seen, age_seconds=1.0, ready=max(1, seen.ready), running=max(1, seen.running)
    )
)
HISTORIES = st.lists(ANY | BELIEVABLE, max_size=8)


def run(built: BuiltPolicy, history: list[Signals]) -> list[Decision]:
    """The decisions on these signals, each from the state before as it would be read from its event."""
    state: dict[str, Any] = {}
    found = []
    for number, seen in enumerate(history):
        found.append(built.policy(state, seen, built.tick_seconds * number))
        state = json.loads(json.dumps(found[-1].state))
    return found


@every_policy
@given(history=st.lists(ANY | BELIEVABLE, min_size=1, max_size=8))
@settings(max_examples=60)
def test_it_is_total_within_bounds_and_says_why(built: BuiltPolicy, history: list[Signals]) -> None:
    for decision in run(built, history):
        assert LOW <= decision.desired <= HIGH
        assert isinstance(decision.desired, int)
        assert decision.explanation
        assert decision.reason in {
            "hold", "tolerance", "up", "down", "stabilized", "limited", "no-signal",
        }  # fmt: skip


@every_policy
def test_numbers_that_add_up_to_infinity_break_nothing(built: BuiltPolicy) -> None:
    seen = Signals(9e307, 9e307, 9e307, 1, 3, 3, 3, 9e307, 1.0, "", 9e307, 9e307, 9e307)
    assert all(LOW <= decision.desired <= HIGH for decision in run(built, [seen] * 4))


@every_policy
@given(history=st.lists(ANY | BELIEVABLE, min_size=1, max_size=8))
@settings(max_examples=60)
def test_it_is_made_again_from_what_was_written_down_to_the_byte(
    built: BuiltPolicy, history: list[Signals]
) -> None:
    state: dict[str, Any] = {}
    for number, (seen, live) in enumerate(zip(history, run(built, history), strict=True)):
        parameters = orjson.loads(orjson.dumps(live.inputs["parameters"]))
        policy = policy_from_parameters(built.expression, parameters)
        again = policy(state, seen, built.tick_seconds * number)
        assert json.dumps(asdict(again)) == json.dumps(asdict(live))
        state = json.loads(json.dumps(live.state))


MEASURED = (
    "arrival_rate",
    "arrival_rate_60s",
    "service_seconds",
    "service_seconds_p95",
    "in_system",
    "busy",
    "queued",
    "latency_seconds",
    "age_seconds",
    "expected_rate",
)
OUTAGES = st.sampled_from([None, math.nan])


@every_policy
@given(history=HISTORIES, seen=BELIEVABLE, outage=OUTAGES, ticks=st.integers(1, 20))
@settings(max_examples=60)
def test_an_outage_of_the_metrics_takes_no_replica_away(
    built: BuiltPolicy, history: list[Signals], seen: Signals, outage: float | None, ticks: int
) -> None:
    state: dict[str, Any] = run(built, history)[-1].state if history else {}
    held = max(LOW, min(HIGH, seen.desired))
    lost = replace(
        seen,
        **dict.fromkeys(MEASURED, outage),
        slots_per_replica=None,
        problem="Prometheus is away",
    )
    for number in range(ticks):
        now = built.tick_seconds * (len(history) + number)
        decision = built.policy(state, replace(lost, desired=held), now)
        assert decision.desired >= held
        state, held = decision.state, decision.desired


@pytest.mark.parametrize(("words", "pick"), [(COMPOSED[0], max), (COMPOSED[1], min)])
@given(history=HISTORIES, seen=BELIEVABLE)
@settings(max_examples=60)
def test_a_composed_policy_wants_what_its_parts_want_alone(
    words: str, pick: Callable[..., int], history: list[Signals], seen: Signals
) -> None:
    built = build_policy(words, CONTEXT)
    alone = [
        build_policy(part["policy"], CONTEXT, tick_seconds=built.tick_seconds)
        for part in built.parameters["parts"]
    ]
    for whole, *parts in zip(*(run(one, [*history, seen]) for one in (built, *alone)), strict=True):
        assert whole.desired == pick(part.desired for part in parts)


@every_policy
@given(history=HISTORIES, seen=BELIEVABLE, more=GOOD)
@settings(max_examples=60)
def test_more_requests_in_system_never_lead_to_fewer(
    built: BuiltPolicy, history: list[Signals], seen: Signals, more: float
) -> None:
    state: dict[str, Any] = run(built, history)[-1].state if history else {}
    now = built.tick_seconds * len(history)
    higher = replace(seen, in_system=(seen.in_system or 0.0) + more)
    assert built.policy(state, seen, now).desired <= built.policy(state, higher, now).desired


@pytest.mark.parametrize("name", ["sloq", "predictive", "max(sloq,hpa)", "min(sloq,predictive)"])
@given(history=HISTORIES, seen=BELIEVABLE, more=GOOD)
@settings(max_examples=60)
def test_a_higher_rate_never_leads_to_fewer(
    name: str, history: list[Signals], seen: Signals, more: float
) -> None:
    built = build_policy(name, CONTEXT)
    state: dict[str, Any] = run(built, history)[-1].state if history else {}
    now = built.tick_seconds * len(history)
    higher = replace(seen, arrival_rate=(seen.arrival_rate or 0.0) + more)
    assert built.policy(state, seen, now).desired <= built.policy(state, higher, now).desired


@pytest.mark.parametrize("kind", POLICIES)
@given(data=st.data(), history=st.lists(BELIEVABLE, min_size=1, max_size=5))
@settings(max_examples=60)
def test_any_options_that_are_taken_make_a_policy_that_decides(
    kind: str, data: st.DataObject, history: list[Signals]
) -> None:
    names = st.sampled_from([*POLICIES[kind].options, "tick"])
    values = st.integers(0, 5) | st.floats(0, 1e6)
    options = data.draw(st.dictionaries(names, values, max_size=3))
    words = f"{kind}:{','.join(f'{name}={value!r}' for name, value in options.items())}"
    try:
        made = build_policy(words, CONTEXT)
    except PolicyError:
        return
    # KEDA may idle below the minimum if it is told so: its definition.
    low = 0 if "idle" in options else LOW
    assert all(low <= decision.desired <= HIGH for decision in run(made, history))
