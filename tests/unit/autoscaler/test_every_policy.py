"""Properties of every registered policy, and of compositions of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support.components import examples
from support.samples.signals import ANY_SIGNALS, CALM, MEASURED, VALID_NUMBER, VALID_SIGNALS
from tidegate.autoscaler.live.override import Override, apply_override
from tidegate.autoscaler.policy_builder import BuiltPolicy, build_policy, policy_from_parameters
from tidegate.autoscaler.policy_expression import PolicyError
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Decision, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.autoscaler.wrappers.schedule import scheduled
from tidegate.lab.replay.replay import wrap_as_recorded
from tidegate.settings.schedule import ScheduleWindow

LOW, HIGH = 2, 40
CONTEXT = PolicyContext(Bounds(LOW, HIGH), slo_seconds=0.6)
COMPOSITIONS = (
    "max(sloq,hpa:inflight=0.7)",
    "min(sloq,ray-serve:target=3,up_delay_seconds=0,keda)",
    "max(sloq,kpa,step):tick=3,predictive=1",
)
PREPARED = ("sloq:predictive=1", "hpa:predictive=1", "surge:predictive=1")
# Each history is tried on all: to draw it costs more than their decisions.
BUILT = [build_policy(expression, CONTEXT) for expression in (*POLICIES, *COMPOSITIONS, *PREPARED)]

ZERO = ScaleToZeroParameters(HIGH, idle_seconds=60.0, stale_seconds=15.0)
TO_ZERO = [
    replace(built, policy=scale_to_zero(built.policy, built.parameters, ZERO)) for built in BUILT
]
WINDOW = ScheduleWindow(cron="* * * * *", min=6)
WRAPPED = [
    *TO_ZERO,
    replace(BUILT[0], policy=scheduled(BUILT[0].policy, [WINDOW], CONTEXT.bounds)),
    *(
        replace(BUILT[0], policy=apply_override(BUILT[0].policy, override, CONTEXT.bounds))
        for override in (Override(1e9), Override(1e9, min=6), Override(1e9, 3, 4))
    ),
]
AT_ZERO = ANY_SIGNALS.map(lambda seen: replace(seen, desired=0))

HISTORIES = st.lists(ANY_SIGNALS | VALID_SIGNALS, max_size=8)


def run(built: BuiltPolicy, history: list[Signals]) -> list[Decision]:
    """The decisions on these signals, each from the previous state as read from its event."""
    state: dict[str, Any] = {}
    found = []
    for number, signals_now in enumerate(history):
        found.append(built.policy(state, signals_now, built.tick_seconds * number))
        state = json.loads(json.dumps(found[-1].state))
    return found


@given(history=st.lists(ANY_SIGNALS | VALID_SIGNALS | AT_ZERO, min_size=1, max_size=8))
@example(history=[replace(CALM, in_system=1.7e308, slots_per_replica=1)])
# Their sums overflow.
@example(
    history=[Signals(9e307, 9e307, 9e307, 1, 3, 3, 3, 9e307, 1.0, "", 9e307, 9e307, 9e307)] * 4
)
@settings(max_examples=examples(60))
def test_any_signals_give_a_decision_within_bounds_with_an_explanation(
    history: list[Signals],
) -> None:
    for low, built in [*((LOW, one) for one in BUILT), *((0, one) for one in TO_ZERO)]:
        for decision in run(built, history):
            assert low <= decision.desired <= HIGH, built.expression
            assert isinstance(decision.desired, int), built.expression
            assert decision.explanation, built.expression
            assert decision.reason in {
                "hold", "tolerance", "up", "down", "stabilized", "limited", "no-signal",
            }, built.expression  # fmt: skip


@given(history=st.lists(ANY_SIGNALS | VALID_SIGNALS | AT_ZERO, min_size=1, max_size=8))
@settings(max_examples=examples(60))
def test_a_recorded_decision_replays_byte_for_byte(history: list[Signals]) -> None:
    for built in (*BUILT, *WRAPPED):
        state: dict[str, Any] = {}
        for number, (seen, live) in enumerate(zip(history, run(built, history), strict=True)):
            inputs = orjson.loads(orjson.dumps(live.inputs))
            policy = policy_from_parameters(built.expression, inputs["parameters"])
            policy = wrap_as_recorded(policy, inputs["parameters"], inputs)
            again = policy(state, seen, built.tick_seconds * number)
            assert json.dumps(asdict(again)) == json.dumps(asdict(live)), built.expression
            state = json.loads(json.dumps(live.state))


OUTAGES = st.sampled_from([None, math.nan])


@given(history=HISTORIES, signals_now=VALID_SIGNALS, outage=OUTAGES, ticks=st.integers(1, 20))
@settings(max_examples=examples(60))
def test_a_metrics_outage_removes_no_replica(
    history: list[Signals], signals_now: Signals, outage: float | None, ticks: int
) -> None:
    lost = replace(
        signals_now,
        **dict.fromkeys(MEASURED, outage),
        slots_per_replica=None,
        problem="Prometheus is away",
    )
    for built in (*BUILT, *TO_ZERO):
        state: dict[str, Any] = run(built, history)[-1].state if history else {}
        current = max(LOW, min(HIGH, signals_now.desired))
        for number in range(ticks):
            now = built.tick_seconds * (len(history) + number)
            decision = built.policy(state, replace(lost, desired=current), now)
            assert decision.desired >= current, built.expression
            state, current = decision.state, decision.desired


@pytest.mark.parametrize(("expression", "pick"), [(COMPOSITIONS[0], max), (COMPOSITIONS[1], min)])
@given(history=HISTORIES, signals_now=VALID_SIGNALS)
@settings(max_examples=examples(60))
def test_a_composition_decides_as_its_parts_do_alone(
    expression: str, pick: Callable[..., int], history: list[Signals], signals_now: Signals
) -> None:
    built = build_policy(expression, CONTEXT)
    alone = [
        build_policy(part["policy"], CONTEXT, tick_seconds=built.tick_seconds)
        for part in built.parameters["parts"]
    ]
    for whole, *parts in zip(
        *(run(one, [*history, signals_now]) for one in (built, *alone)), strict=True
    ):
        assert whole.desired == pick(part.desired for part in parts)


@given(history=HISTORIES, signals_now=VALID_SIGNALS, more=VALID_NUMBER)
@settings(max_examples=examples(60))
def test_more_requests_in_the_system_never_lead_to_fewer_replicas(
    history: list[Signals], signals_now: Signals, more: float
) -> None:
    # A number that stays the same may be frozen, and then no replica is removed.
    same = bool(history) and history[-1].in_system == signals_now.in_system
    held = max(LOW, min(HIGH, signals_now.desired))
    higher = replace(signals_now, in_system=(signals_now.in_system or 0.0) + more)
    for built in BUILT:
        state: dict[str, Any] = run(built, history)[-1].state if history else {}
        now = built.tick_seconds * len(history)
        few, many = (built.policy(state, seen, now).desired for seen in (signals_now, higher))
        assert few <= many or (same and few == held), built.expression


@pytest.mark.parametrize("name", ["sloq", "max(sloq,hpa)", "min(sloq,hpa)"])
@given(history=HISTORIES, signals_now=VALID_SIGNALS, more=VALID_NUMBER)
@settings(max_examples=examples(60))
def test_a_higher_rate_never_leads_to_fewer_replicas(
    name: str, history: list[Signals], signals_now: Signals, more: float
) -> None:
    built = build_policy(name, CONTEXT)
    state: dict[str, Any] = run(built, history)[-1].state if history else {}
    now = built.tick_seconds * len(history)
    higher = replace(signals_now, arrival_rate=(signals_now.arrival_rate or 0.0) + more)
    assert built.policy(state, signals_now, now).desired <= built.policy(state, higher, now).desired


@pytest.mark.parametrize("kind", POLICIES)
@given(data=st.data(), history=st.lists(VALID_SIGNALS, min_size=1, max_size=5))
@settings(max_examples=examples(60))
def test_all_accepted_options_build_a_policy_that_decides(
    kind: str, data: st.DataObject, history: list[Signals]
) -> None:
    names = st.sampled_from([*POLICIES[kind].options, "tick"])
    values = st.integers(0, 5) | st.floats(0, 1e6)
    options = data.draw(st.dictionaries(names, values, max_size=3))
    expression = f"{kind}:{','.join(f'{name}={value!r}' for name, value in options.items())}"
    try:
        built = build_policy(expression, CONTEXT)
    except PolicyError:
        return
    assert all(LOW <= decision.desired <= HIGH for decision in run(built, history))
