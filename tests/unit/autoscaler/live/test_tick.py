"""A tick: the request to the resizer, the event and the metrics."""

from dataclasses import replace
from typing import Any

import pytest

from support.harnesses.autoscaler_run import ONE, THREE, AutoscalerRun, but, metrics_text
from tidegate.autoscaler.gateway_signals import GatewayRead
from tidegate.autoscaler.live.loop import MACHINE_FULL, Autoscaler
from tidegate.autoscaler.live.override import Override
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.autoscaler.wrappers.scale_to_zero import ScaleToZeroParameters, scale_to_zero
from tidegate.lab.replay.replay import replay


async def test_a_new_number_is_requested_once(run: AutoscalerRun) -> None:
    assert await run.tick() == 1
    assert run.resizer.asked == []
    assert [await run.tick(reading=THREE), await run.tick()] == [3, 3]
    assert (run.resizer.asked, run.resizer.count) == ([3], 3)
    assert run.decisions()[2]["state"]["asked"] == 3  # what the policy returned before


async def test_the_event_has_the_whole_decision_and_precedes_the_request(
    run: AutoscalerRun,
) -> None:
    await run.tick(reading=THREE, ignores_resize=True)
    (event,) = run.recorded_events.events("decision")
    assert event["message"] == (
        "1 → 3: 4.2 requests in the system over 2 slots is 2.1 per slot, target 0.7"
    )
    assert event["event"]["action"] == "decide"
    assert event["service"]["node"]["name"] == "autoscaler"
    recorded = event["tidegate"]["decision"]
    expected = {"desired": 3, "previous": 1, "reason": "up", "policy": "hpa", "now": 5.0}
    assert expected.items() <= recorded.items()
    assert recorded["signals"]["in_system"] == 4.2
    assert recorded["inputs"]["recommendation"] == 3
    assert recorded["state"] == {}


async def test_a_number_set_by_another_client_is_corrected_within_a_tick(
    run: AutoscalerRun,
) -> None:
    await run.tick(reading=THREE)
    # Within tolerance of 3: the policy alone would be content with any number it finds.
    assert await run.tick(count=1, reading=but(ONE, in_system=None, problem="blind")) == 3
    assert (run.resizer.asked, run.resizer.count) == ([3, 3], 3)
    assert "another client of the resizer set 1 replicas; 3 were requested" in run.messages()


@pytest.mark.parametrize(
    ("later", "asked"),
    [
        ([{}, {"ignores_resize": False}, {}], [3, 3, 3]),
        # Only its response was lost.
        ([{"count": 3}], [3]),
    ],
)
async def test_a_failed_request_is_repeated_and_logged_once(
    run: AutoscalerRun, later: list[dict[str, Any]], asked: list[int]
) -> None:
    await run.tick(reading=THREE, ignores_resize=True)
    for changes in later:
        await run.tick(**changes)
    assert run.resizer.asked == asked
    assert run.messages() == ["resize: no response", "resize: resolved"]


async def test_after_a_refusal_it_continues_from_the_actual_number(run: AutoscalerRun) -> None:
    run.resizer.max_replicas = 2
    assert await run.tick(reading=THREE) == 3
    assert await run.tick(reading=but(ONE, in_system=1.4)) == 1
    assert run.resizer.count == 1
    assert run.messages() == ["bounds: the resizer refused: at most 2"]


async def test_an_unreachable_resizer_keeps_the_number_and_is_logged_once(
    run: AutoscalerRun,
) -> None:
    await run.tick(reading=THREE)
    assert [await run.tick(unreachable=True), await run.tick()] == [3, 3]
    assert await run.tick(unreachable=False) == 3
    assert run.messages() == ["resizer: gone", "resizer: resolved"]
    reasons = [one["reason"] for one in run.decisions()]
    assert reasons == ["up", "no-signal", "no-signal", "tolerance"]


async def test_before_the_first_response_of_the_resizer_nothing_is_decided(
    run: AutoscalerRun,
) -> None:
    assert await run.tick(unreachable=True) is None
    assert run.decisions() == []
    assert "tidegate_autoscaler_resizer_up 0.0" in metrics_text(run)
    assert await run.tick(unreachable=False) == 1
    assert "tidegate_autoscaler_resizer_up 1.0" in metrics_text(run)


SIGNALS = [but(ONE, problem=problem) for problem in ("", "a", "a", "b", "b", "", "")]
HISTORY = [replace(ONE, history_problem=problem) for problem in ("", "lost", "lost", "")]
BOTH = [replace(but(ONE, problem=one), history_problem=one) for one in ("", "a", "")]
SPREAD = [
    replace(but(ONE, problem=problem), problems={"no value": ()})
    for problem in ("no value: a", "no value: a, b", "no value: b")
]


@pytest.mark.parametrize(
    ("readings", "messages"),
    [
        (SIGNALS, ["signals: a", "signals: b", "signals: resolved"]),
        (HISTORY, ["history: lost", "history: resolved"]),
        # A history that is lost with the signals is not reported.
        (BOTH, ["signals: a", "signals: resolved"]),
        # An outage that spreads between series is one.
        (SPREAD, ["signals: no value: a"]),
    ],
    ids=["signals", "history", "both", "spread"],
)
async def test_a_problem_is_logged_when_it_appears_changes_and_ends(
    run: AutoscalerRun, readings: list[Reading], messages: list[str]
) -> None:
    for reading in readings:
        await run.tick(reading=reading)
    assert run.messages() == messages
    levels = [event["log"]["level"] for event in run.recorded_events.events("app")]
    assert levels == ["info" if "resolved" in one else "warn" for one in messages]
    assert f"warn autoscaler: {messages[0]}\n" in run.recorded_events.terminal.getvalue()


async def test_a_full_machine_is_logged_when_it_appears_and_ends(run: AutoscalerRun) -> None:
    def decide(full: bool) -> Policy:
        return lambda state, signals, now: Decision(1, "hold", "", {"machine_full": full}, state)

    for full in (False, True, True, False, False):
        run.autoscaler.policy = decide(full)
        await run.tick()
        assert f"tidegate_autoscaler_machine_full {full:.1f}" in metrics_text(run)
    assert run.messages() == [f"machine: {MACHINE_FULL}", "machine: resolved"]


async def test_a_pause_applies_from_the_next_tick_and_expires(run: AutoscalerRun) -> None:
    end = run.autoscaler.unix() + 12.0
    run.autoscaler.read_override = lambda unix: (Override(end) if unix < end else None, "")
    assert [await run.tick(reading=THREE), await run.tick()] == [1, 1]
    assert "tidegate_autoscaler_paused 1.0" in metrics_text(run)
    assert await run.tick() == 3
    assert "tidegate_autoscaler_paused 0.0" in metrics_text(run)
    assert 'tidegate_autoscaler_decisions_total{reason="paused"} 2.0' in metrics_text(run)
    assert run.messages() == ["paused until 2023-11-14 22:13Z", "the pause has ended"]
    first = run.recorded_events.events("decision")[0]
    assert first["message"].startswith("1 held: paused until 2023-11-14 22:13Z; else 1 → 3: ")


async def test_an_invalid_pause_is_ignored_and_logged_once(run: AutoscalerRun) -> None:
    run.autoscaler.read_override = lambda unix: (None, "no pause")
    assert [await run.tick(reading=THREE), await run.tick()] == [3, 3]
    run.autoscaler.read_override = lambda unix: (None, "")
    await run.tick()
    assert run.messages() == ["control: no pause", "control: resolved"]


async def test_a_dry_run_decides_from_the_actual_number_and_does_not_resize(
    run: AutoscalerRun,
) -> None:
    run.autoscaler.dry_run = True
    assert [await run.tick(reading=THREE), await run.tick(), await run.tick(count=2)] == [3, 3, 3]
    assert run.resizer.asked == []
    assert run.messages() == []
    assert [one["previous"] for one in run.decisions()] == [1, 1, 2]
    assert run.decisions()[0]["dry_run"] is True
    event = run.recorded_events.events("decision")[0]
    assert event["message"] == f"dry run: {replay(event).explanation}"
    assert "dry run: 1 → 3" in run.recorded_events.terminal.getvalue()
    for line in (
        "tidegate_autoscaler_dry_run 1.0",
        "tidegate_autoscaler_desired_replicas 3.0",
        'tidegate_replicas{state="desired"} 2.0',
    ):
        assert line in metrics_text(run)
    assert await run.tick(unreachable=True) == 2  # held, as it was last seen


async def test_the_policy_gets_the_time_of_day(run: AutoscalerRun) -> None:
    await run.tick()
    assert run.decisions()[0]["signals"]["unix_seconds"] == 1_700_000_005.0


async def test_the_metrics_show_the_last_decision(run: AutoscalerRun) -> None:
    await run.tick(reading=THREE)
    for line in (
        'tidegate_replicas{state="desired"} 3.0',
        'tidegate_replicas{state="running"} 1.0',
        'tidegate_replicas{state="ready"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="up"} 1.0',
        'tidegate_autoscaler_decisions_total{reason="no-signal"} 0.0',
        "tidegate_autoscaler_signal_age_seconds 1.0",
        "tidegate_autoscaler_desired_replicas 3.0",
    ):
        assert line in metrics_text(run)
    await run.tick(reading=Reading(Signals(problem="blind")), unreachable=True)
    # Nobody knows how many are ready now; 0 would be a lie.
    assert 'tidegate_replicas{state="ready"} 1.0' in metrics_text(run)
    assert "tidegate_autoscaler_signal_age_seconds NaN" in metrics_text(run)


def sleeping(run: AutoscalerRun) -> Autoscaler:
    """An autoscaler at zero replicas; `waiting` is the number of waiting requests."""
    parameters = build_policy("hpa", PolicyContext(Bounds(1, 10), slo_seconds=1.0)).parameters
    recorded = ScaleToZeroParameters(max=10, idle_seconds=60.0, stale_seconds=15.0)
    run.autoscaler.policy = scale_to_zero(run.autoscaler.policy, parameters, recorded)
    run.autoscaler.bounds = Bounds(0, 10)
    run.resizer.count = 0
    run.resizer.reading = Reading(Signals(problem="no value: x"))
    return run.autoscaler


async def test_the_gateway_queue_is_read_only_at_zero_replicas(run: AutoscalerRun) -> None:
    asked = 0

    async def waiting() -> GatewayRead:
        nonlocal asked
        asked += 1
        return GatewayRead(1.0, 0.0, 2.0 if asked == 3 else 0.0)

    sleeping(run).read_gateway = waiting
    assert [await run.tick() for _ in range(3)] == [0, 0, 1]
    assert run.resizer.asked == [1]
    await run.tick(reading=ONE)
    assert asked == 3
    recorded = [one["signals"].get("waiting") for one in run.decisions()]
    assert recorded == [0.0, 0.0, 2.0, None]
    events = run.recorded_events.events("decision")
    assert events[2]["message"] == "0 → 1: 2 requests wait at the gateway"
    assert all(replay(event).explanation == event["message"] for event in events)


async def test_missing_series_of_replicas_are_no_problem_at_zero_replicas(
    run: AutoscalerRun,
) -> None:
    sleeping(run)
    await run.tick()
    assert run.messages() == []
    # With one that has been there for long, it is.
    await run.tick(count=1)
    assert "signals: no value: x" in run.messages()
