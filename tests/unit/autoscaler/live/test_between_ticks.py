"""Decisions between two ticks, for what the gateway's counters show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.harnesses.autoscaler_run import AutoscalerRun, but, reading_of
from support.samples.signals import CALM
from tidegate.autoscaler.gateway_signals import GatewayRead
from tidegate.autoscaler.live.override import Override
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import PolicyContext
from tidegate.autoscaler.types import Bounds, Signals
from tidegate.lab.replay.replay import replay

QUIET = Reading(replace(CALM, arrival_rate=2.0, arrival_rate_60s=2.0, in_system=0.4))

# 12 slots of work.
BUSY = Reading(replace(CALM, arrival_rate=60.0, arrival_rate_60s=60.0, in_system=12.0))

NOTHING_YET = Reading(Signals(problem="no sample"), problems={"no sample": ()})


def sensing(run: AutoscalerRun, policy: str = "sloq") -> AutoscalerRun:
    """A run with this policy, which reads the gateway if the policy uses it."""
    built = build_policy(policy, PolicyContext(Bounds(1, 10), slo_seconds=0.6))
    run.autoscaler.policy, run.autoscaler.policy_name = built.policy, policy
    run.autoscaler.uses_gateway = built.uses_gateway
    run.resizer.reading = QUIET
    run.resizer.startups = (1.4,)
    run.gateway = GatewayRead(0.5, 1.0, 0.0)
    return run


async def test_a_jump_is_decided_within_two_reads_and_kept_at_the_next_tick(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick()
    assert await run.sense(1.0, 0.0, reads=9) == []
    (decided,) = await run.sense(30.0, 0.0, reads=2)
    assert decided == 5
    assert run.resizer.asked == [decided]
    # Prometheus still knows nothing of it.
    assert await run.tick(reading=QUIET) == decided


async def test_a_queue_in_two_reads_is_decided_at_once_without_a_jump(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    assert await run.sense(1.0, 4.0, reads=5) == []
    assert await run.sense(1.0, 400.0) == []
    assert await run.sense(1.0, 400.0) == [6]


async def test_a_decision_between_ticks_says_what_saw_it_and_replays(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    await run.sense(30.0, 25.0, reads=2)
    event = run.recorded_events.events("decision")[-1]
    assert "the gateway counted 30 requests within 0.5 s, a jump" in event["message"]
    assert "the gateway's queue has 25 requests" in event["message"]
    inputs = event["tidegate"]["decision"]["inputs"]
    assert (inputs["between"], inputs["gateway_arrivals"]) == (True, 30.0)
    assert replay(event).explanation == event["message"]


async def test_it_learns_from_ticks_only(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    await run.tick()
    before = run.autoscaler._state
    await run.sense(30.0, 25.0, reads=9)
    after = run.autoscaler._state
    paced = {"targets", "surges", "running", "starting", "steady_since", "ready"}
    assert {k: v for k, v in after.items() if k not in paced} == {
        k: v for k, v in before.items() if k not in paced
    }


async def test_a_decision_that_adds_nothing_is_not_recorded(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    run.resizer.reading = but(QUIET, service_seconds=0.001)
    await run.tick()
    assert await run.sense(30.0, 0.0, reads=4) == []
    assert len(run.decisions()) == 2


async def test_without_prometheus_at_the_last_tick_the_reading_before_counts(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick()
    await run.tick(reading=Reading(Signals(problem="timed out")))
    assert await run.sense(30.0, 25.0, reads=2) != []


async def test_a_queue_before_the_first_values_of_prometheus_is_decided_by_the_gateway_alone(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick(reading=NOTHING_YET)
    # 2 slots, and 40 requests a second.
    assert await run.sense(20.0, 15.0) == []
    (decided,) = await run.sense(20.0, 15.0)
    assert decided > 1
    event = run.recorded_events.events("decision")[-1]
    assert "0.1 s (assumed)" in event["message"]
    assert "the gateway counted 41 requests within 1.5 s" in event["message"]
    assert replay(event).explanation == event["message"]
    # At the tick there is still nothing of Prometheus: nothing is removed.
    assert await run.tick() == decided


@pytest.mark.parametrize("measured", [{}, {"arrival_rate": 2.0, "arrival_rate_60s": 2.0}])
async def test_replicas_that_are_ready_at_once_do_not_ask_for_more_while_no_slot_time_is_known(
    measured: dict[str, float], run: AutoscalerRun
) -> None:
    young = but(QUIET, service_seconds=None, service_seconds_p95=None, **measured)
    await sensing(run).tick(reading=young if measured else NOTHING_YET)
    (decided,) = await run.sense(200.0, 5.0, reads=2)
    assert 1 < decided < 10
    # The first read with them all may still show what queued for the first one.
    assert await run.sense(200.0, 5.0) == []
    assert await run.sense(200.0, 0.0, reads=9) == []
    # What queues for all of them is more.
    assert await run.sense(200.0, 30.0, reads=3) == [10]


async def test_before_the_first_values_requests_that_do_not_queue_add_nothing(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick(reading=NOTHING_YET)
    assert await run.sense(1.0, 2.0, reads=9) == []
    assert await run.sense(500.0, 0.0, reads=9) == []


async def test_a_jump_right_after_the_start_reads_prometheus_again(run: AutoscalerRun) -> None:
    await sensing(run).tick(reading=NOTHING_YET)
    run.resizer.reading = QUIET
    assert await run.sense(1.0, 400.0, reads=2) == [6]
    assert "(assumed)" not in run.recorded_events.events("decision")[-1]["message"]


async def test_an_old_reading_adds_nothing(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    for _ in range(3):
        await run.tick(reading=Reading(Signals(problem="timed out")))
    assert await run.sense(30.0, 25.0, reads=4) == []


@pytest.mark.parametrize("policy", ["hpa", "keda", "kpa", "step", "min(sloq,hpa)"])
async def test_policies_that_imitate_others_decide_at_their_ticks(
    policy: str, run: AutoscalerRun
) -> None:
    first = await sensing(run, policy).tick()
    assert await run.sense(30.0, 25.0, reads=4) == []
    assert run.resizer.count == first


async def test_a_composition_asks_the_part_that_uses_the_gateway(run: AutoscalerRun) -> None:
    await sensing(run, "max(sloq,hpa)").tick()
    assert await run.sense(30.0, 25.0, reads=2) != []
    await run.tick()
    assert "hpa" in run.decisions()[-1]["inputs"]["parts"][1]["policy"]


async def test_a_pause_and_a_dry_run_hold_between_ticks(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    run.autoscaler.read_override = lambda _: (Override(2e11), "")
    assert await run.sense(30.0, 25.0, reads=3) == []
    run.autoscaler.read_override = lambda _: (None, "")
    run.autoscaler.dry_run = True
    assert await run.sense(30.0, 25.0, reads=3) == []


async def test_a_queue_that_lasts_asks_the_resizer_only_to_add_replicas(run: AutoscalerRun) -> None:
    await sensing(run).tick(reading=but(QUIET, service_seconds=0.001))
    before = run.resizer.times_asked
    # It is gone before a replica could start.
    assert await run.sense(1.0, 9.0, reads=8) == []
    assert run.resizer.times_asked == before


async def test_a_queue_is_decided_on_by_the_replicas_of_now(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    # Somebody has added them since.
    run.resizer.count = 8
    assert await run.sense(1.0, 30.0, reads=4) == []


async def test_an_unreachable_gateway_or_resizer_adds_nothing(run: AutoscalerRun) -> None:
    await sensing(run).tick()
    run.resizer.unreachable = True
    assert await run.sense(30.0, 25.0, reads=3) == []
    run.resizer.unreachable = False
    run.autoscaler.read_gateway = unreachable
    assert await run.autoscaler.sense(run.now) is None
    assert await run.tick(unreachable=False) == 1


async def test_a_tick_plans_for_the_same_wait_at_the_first_read_and_when_one_fails(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick(reading=BUSY)
    await run.tick()
    run.gateway = None
    await run.tick()
    first, second, failed = (one["inputs"]["wait_seconds"] for one in run.decisions())
    assert first == second == failed
    for _ in range(10):
        await run.autoscaler.sense(run.now)
    await run.tick()
    assert run.decisions()[-1]["inputs"]["wait_seconds"] < failed


async def test_a_gateway_that_cannot_be_read_is_logged_once_and_when_it_can_again(
    run: AutoscalerRun,
) -> None:
    await sensing(run).tick()
    run.gateway = None
    for _ in range(30):
        await run.autoscaler.sense(run.now)
    run.gateway = GatewayRead(0.5, 1.0, 0.0)
    # One that fails while the gateway is replaced is none.
    await run.autoscaler.sense(run.now)
    run.gateway = None
    await run.autoscaler.sense(run.now)
    away, resolved = run.recorded_events.messages()
    assert "gateway: its counters cannot be read" in away
    assert "autoscaler.gateway_metrics_url" in away
    assert resolved == "gateway: resolved"


async def unreachable() -> GatewayRead | None:
    return None


def at_zero(run: AutoscalerRun) -> AutoscalerRun:
    run.resizer.reading = reading_of()
    run.autoscaler._desired = 0
    return run


async def test_a_queue_at_zero_replicas_is_a_tick_at_once_by_that_one_read(
    run: AutoscalerRun,
) -> None:
    at_zero(run).gateway = GatewayRead(0.5, 0.0, 0.0)
    assert await run.autoscaler.sense(1.0) is None
    run.gateway = GatewayRead(0.5, 1.0, 1.0)
    assert await run.autoscaler.sense(1.5) is not None
    assert len(run.autoscaler._reads) == 2


async def test_at_zero_replicas_a_gateway_that_cannot_be_read_is_a_tick_each_second(
    run: AutoscalerRun,
) -> None:
    at_zero(run).gateway = None
    for number in range(2, 8):
        run.autoscaler._desired = 0
        await run.autoscaler.sense(number / 2)
    assert [one["now"] for one in run.decisions()] == [1.0, 2.0, 3.0]


async def test_at_zero_replicas_the_gateway_is_read_more_often_as_long_as_it_answers(
    run: AutoscalerRun,
) -> None:
    at_zero(run).gateway = GatewayRead(0.1, 0.0, 0.0)
    await run.autoscaler.sense(0.1)
    assert run.autoscaler.read_seconds == 0.1
    run.gateway = None
    await run.autoscaler.sense(0.2)
    assert run.autoscaler.read_seconds == 0.5
    run.gateway = GatewayRead(0.1, 0.0, 0.0)
    run.autoscaler._desired = 1
    await run.autoscaler.tick(0.3)
    assert run.autoscaler.read_seconds == 0.5


async def test_the_counts_of_frequent_reads_are_kept_by_half_seconds(run: AutoscalerRun) -> None:
    run.autoscaler.uses_gateway = True
    for seconds, arrivals in ((0.5, 5), (0.125, 1), (0.25, 2), (0.125, 0), (0.125, 4), (0.5, 3)):
        run.gateway = GatewayRead(seconds, arrivals, arrivals)
        await run.autoscaler.tick(1.0)
    kept = [GatewayRead(0.5, 5, 5), GatewayRead(0.5, 3, 0), GatewayRead(0.125, 4, 4)]
    assert run.autoscaler._reads == [*kept, GatewayRead(0.5, 3, 3)]


async def test_a_queue_that_stays_at_zero_replicas_is_no_tick_at_each_read(
    run: AutoscalerRun,
) -> None:
    at_zero(run).gateway = GatewayRead(0.125, 1.0, 1.0)
    for number in range(8, 17):
        run.autoscaler._desired = 0
        await run.autoscaler.sense(number / 8)
    assert [one["now"] for one in run.decisions()] == [1.0, 1.5, 2.0]


async def test_a_queue_right_after_a_tick_at_zero_replicas_is_decided_at_the_next_read(
    run: AutoscalerRun,
) -> None:
    at_zero(run).gateway = GatewayRead(0.5, 0.0, 0.0)
    await run.autoscaler.tick(1.0)
    at_zero(run).gateway = GatewayRead(0.125, 1.0, 1.0)
    assert await run.autoscaler.sense(1.125) is not None


async def test_a_dry_run_decides_at_ticks_also_at_zero_replicas(run: AutoscalerRun) -> None:
    at_zero(run).gateway = GatewayRead(0.5, 1.0, 1.0)
    run.autoscaler.dry_run = True
    assert await run.autoscaler.sense(1.0) is None
    assert run.autoscaler.read_seconds == 0.5
