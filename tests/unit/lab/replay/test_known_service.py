"""What another policy begins with: what the recorded one knew of the service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from support.harnesses.recorded_decisions import read
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Policy
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.lab.replay.counterfactual import other_policy, replay_other
from tidegate.lab.replay.decisions import RecordedDecision
from tidegate.lab.replay.known_service import initial_state, measured_startups
from tidegate.lab.replay.what_if import TickComparison, startup_seconds, totals, what_if
from tidegate.settings import Settings

Recorded = Callable[..., list[dict[str, Any]]]
SETTINGS = Settings.model_validate({"slo": {"latency_seconds": 0.6}})
CONTEXT = PolicyContext(Bounds(1, 30), 0.6)
# Of the recordings: replicas are ready 10 s after they were requested, which ticks measure.
STARTUP_SECONDS, TICK_SECONDS = 10.0, 5.0


def horizon(decisions: list[RecordedDecision], expression: str) -> float | None:
    """That of the first decision of a policy, if it has one."""
    prepares = "predictive" in decisions[0].fields["inputs"]["parameters"]
    policy = build_policy(expression, CONTEXT, tick_seconds=TICK_SECONDS, prepares=prepares).policy
    state = initial_state(decisions, expression)
    inputs = policy(state, decisions[0].signals, decisions[0].now).inputs
    found: float | None = inputs.get("horizon_seconds")
    return found


def test_the_same_policy_costs_as_much_as_it_did(recorded: Recorded) -> None:
    decisions = read(recorded("sloq", startup=5.0))

    def ratio(rows: list[TickComparison]) -> float:
        actual, again = totals(rows)
        return again.replica_seconds / actual.replica_seconds

    assert ratio(replay_other(decisions, "sloq", SETTINGS)) == pytest.approx(1.0, abs=0.02)
    knows_nothing = what_if(decisions, *other_policy(decisions, "sloq", SETTINGS))
    assert ratio(knows_nothing) > 1.2


@pytest.mark.parametrize("expression", [*POLICIES, "max(hpa,sloq)", "sloq:predictive=1"])
def test_every_policy_that_plans_for_start_up_times_begins_with_the_recorded_ones(
    expression: str, recorded: Recorded
) -> None:
    assert horizon(read(recorded("sloq")), expression) in {None, STARTUP_SECONDS + TICK_SECONDS}


@pytest.mark.parametrize(
    "words", ["sloq", "sloq:predictive=1", "surge", "max(hpa,sloq):predictive=1", "hpa"]
)
def test_it_is_known_from_every_policy(words: str, recorded: Recorded) -> None:
    assert horizon(read(recorded(words)), "sloq") == STARTUP_SECONDS + TICK_SECONDS


def test_it_is_known_across_scale_to_zero(recorded: Recorded) -> None:
    zero = ScaleToZeroParameters(max=30, idle_seconds=600.0, stale_seconds=15.0)

    def around(policy: Policy) -> Policy:
        return scale_to_zero(policy, {}, zero)

    decisions = read(recorded("sloq", wrap=around))
    state = initial_state(decisions, "sloq")
    assert set(state["inner"]["startups"]) == {STARTUP_SECONDS}
    first = decisions[0]
    decision = around(build_policy("sloq", CONTEXT).policy)(state, first.signals, first.now)
    assert decision.inputs["horizon_seconds"] == STARTUP_SECONDS + TICK_SECONDS


def test_what_the_recorded_policy_decided_is_not_taken_over(recorded: Recorded) -> None:
    decisions = read(recorded("sloq"))
    assert {"targets", "now", "reserve"} <= decisions[0].fields["state"].keys()
    assert initial_state(decisions, "sloq").keys() <= {
        *("service_seconds", "service_seconds_p95", "startups", "told_slots", "slots")
    }
    assert initial_state(read(recorded("hpa")), "kpa") == {}


def test_a_learned_occupancy_is_kept(recorded: Recorded) -> None:
    decisions = read(recorded("sloq", ticks=1))
    state = {**decisions[0].fields["state"], "occupancy": 2.0}
    first = replace(decisions[0], fields={**decisions[0].fields, "state": state})
    policy = build_policy("sloq", CONTEXT).policy
    decision = policy(initial_state([first], "sloq"), first.signals, first.now)
    assert decision.inputs["occupancy"] == pytest.approx(2.0, abs=0.01)


def test_a_recording_from_the_start_of_the_autoscaler_begins_empty(recorded: Recorded) -> None:
    events = recorded("sloq", ticks=2)
    events[0]["tidegate"]["decision"]["state"] = {}
    assert initial_state(read(events), "sloq") == {}
    assert initial_state([], "sloq") == {}


def test_start_up_times_that_the_resizer_measured_come_before_those_that_ticks_saw(
    recorded: Recorded,
) -> None:
    decisions = read(recorded("sloq"))
    measured = replace(decisions[-2].signals, startups=[1.4, 1.6])
    decisions[-2] = replace(decisions[-2], signals=measured)
    assert measured_startups(decisions) == (1.4, 1.6)
    assert startup_seconds(decisions) == 1.5


def test_start_up_times_from_before_the_recording_count(recorded: Recorded) -> None:
    decisions = read(recorded("sloq", ticks=2))
    assert set(measured_startups(decisions)) == {STARTUP_SECONDS}
    assert startup_seconds(decisions) == STARTUP_SECONDS
