"""The control loop under events of the engine, of Compose and of a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.resizer.compose.containers import CLONE_LABEL
from tidegate.resizer.compose.resizer import CannotScaleError
from tidegate.settings import Replicas

Make = Callable[..., Any]
CLONE = {CLONE_LABEL: "f" * 64}
KILLED = {"Status": "exited", "ExitCode": 137, "FinishedAt": "1970-01-01T01:23:20Z"}


@pytest.mark.parametrize(("running", "desired"), [(1, 2), (3, 3), (5, 4)])
async def test_the_running_number_within_the_bounds_is_desired_at_first(
    harness: Any, replica: Make, running: int, desired: int
) -> None:
    harness.observer.settings = Replicas(min=2, start=2, max=4)
    harness.engine.add(*(replica(number) for number in range(1, running + 1)))
    await harness.resizer.initialize()
    assert harness.resizer.desired == desired


async def test_without_a_replica_it_does_not_start(harness: Any) -> None:
    with pytest.raises(CannotScaleError, match="project shop has no container of service model"):
        await harness.resizer.initialize()


async def test_parts_of_the_definition_that_allow_one_replica_only_are_named(
    harness: Any, replica: Make
) -> None:
    ports = {"PortBindings": {"8000/tcp": [{"HostPort": "8000"}]}}
    harness.engine.add(replica(1, name="the-model", host=ports))
    with pytest.raises(
        CannotScaleError,
        match="container_name: the-model and ports: host port 8000 for 8000/tcp: remove them from",
    ):
        await harness.resizer.initialize()


async def test_such_a_definition_may_have_a_single_replica(harness: Any, replica: Make) -> None:
    harness.observer.settings = Replicas(min=1, max=1)
    harness.engine.add(replica(1, name="the-model"))
    await harness.resizer.initialize()
    assert harness.resizer.desired == 1


async def test_a_change_to_a_single_replica_is_logged_once(scene: Any, replica: Make) -> None:
    scene.engine.add(replica(3, name="the-model", created=3000.0))
    await scene.resize(4, ticks=2)
    assert len(scene.messages("single")) == 1
    assert scene.names() == ["/the-model", "1", "2"]
    scene.engine.containers.popitem()
    scene.engine.add(replica(4, created=4000.0))
    await scene.tick()
    assert scene.messages("single")[1:] == ["the service can have more than one replica again"]


async def test_a_starting_replica_is_counted_and_listed(scene: Any) -> None:
    status = await scene.resizer.resize(3)
    assert (status.desired, status.running) == (3, 2)
    await scene.resizer._try_tick()
    status = await scene.resizer.status()
    assert [(one.id, one.state, one.started_at) for one in status.replicas][2:] == [
        ("shop-model-3", "starting", scene.now)
    ]
    assert (status.running, status.ready) == (3, 2)
    await scene.tick()
    assert scene.names() == ["1", "2", "3"]
    await scene.tick()
    status = await scene.resizer.status()
    one, _, three = status.replicas
    assert (three.state, three.ready_at) == ("ready", scene.now)
    # From the creation of a copy, not from the start of its program.
    assert (three.started_at, status.startups) == (1003.0, [scene.now - 1003.0])
    assert one.ready_at is None  # it was ready before the resizer started


async def test_the_replica_with_the_lowest_load_is_drained_and_an_unknown_load_counts_as_busy(
    scene: Any,
) -> None:
    scene.metrics["http://10.0.0.1:8000/metrics"] = "tidegate_slots_busy 3.0\n"
    await scene.resize(1)
    assert scene.names() == ["2"]


async def test_a_killed_replica_is_restarted_after_a_second(scene: Any) -> None:
    scene.event(2, "kill", "9")
    scene.event(2, "die")
    scene.engine.containers[f"{2:064x}"]["State"].update(KILLED)
    await scene.tick()
    assert await scene.states() == ["ready", "failed"]
    assert scene.messages("revive") == []
    await scene.tick()
    revived = "restarted shop-model-2, which had exited with code 137"
    assert scene.messages("revive") == [revived]
    await scene.tick()
    assert await scene.states() == ["ready", "ready"]


async def test_the_last_replica_is_recreated_from_the_remembered_template(scene: Any) -> None:
    scene.event(1, "die")
    scene.event(2, "die")
    scene.engine.containers.clear()
    await scene.tick()
    assert scene.names() == ["1", "2"]


async def test_after_a_manual_stop_of_the_service_nothing_is_done_until_a_replica_runs(
    scene: Any,
) -> None:
    for number in (1, 2):
        scene.event(number, "kill", "15")
    await scene.tick()
    assert await scene.states() == ["draining", "draining"]
    for one in scene.engine.containers.values():
        one["State"].update(Status="exited")
    await scene.tick(5.0)
    await scene.resizer.resize(3)
    await scene.tick(5.0)
    assert len(scene.messages("held")) == 1
    assert scene.names() == ["1", "2"]
    assert await scene.states() == []
    scene.event(1, "start")
    scene.engine.containers[f"{1:064x}"]["State"]["Status"] = "running"
    await scene.tick()
    assert len(scene.messages("held")) == 2
    # Number 2 is left to the client that stopped it.
    assert scene.names() == ["1", "2", "3", "4"]


async def test_a_replica_that_compose_stops_is_replaced_while_it_still_drains(scene: Any) -> None:
    scene.event(2, "kill", "15")
    await scene.tick(0.5)
    assert scene.names() == ["1", "2"]
    await scene.tick(1.0)
    assert scene.names() == ["1", "2", "3"]


async def test_no_replica_is_created_within_a_second_after_an_external_exit(scene: Any) -> None:
    del scene.engine.containers[f"{2:064x}"]
    scene.event(2, "destroy")
    await scene.tick(0.5)
    assert scene.names() == ["1"]
    await scene.tick(0.5)
    assert scene.names() == ["1", "2"]


async def test_nothing_is_done_while_compose_replaces_one(scene: Any, replica: Make) -> None:
    hidden = {"id": "e" * 64, "name": "000000000002_shop-model-2"}
    scene.engine.add(replica(2, state={"Status": "created"}, **hidden))
    await scene.resize(4)
    assert len(scene.names()) == 3
    assert len(await scene.states()) == 2
    await scene.tick(49.0)
    assert len(scene.names()) == 3
    await scene.tick(2.0)  # the replacement has timed out
    assert scene.names()[1:] == ["1", "2", "3", "4"]


async def test_a_replica_that_never_becomes_ready_is_replaced_after_start_seconds(
    scene: Any, replica: Make
) -> None:
    scene.engine.add(replica(3, health="starting", started=5000.0, labels=CLONE))
    await scene.resize(3)
    await scene.tick(59.0)
    assert scene.messages("drain") == []
    assert (await scene.states())[2] == "starting"
    await scene.tick(1.0)
    assert scene.messages("drain") == ["draining shop-model-3: it finishes its requests"]
    await scene.tick()
    assert scene.names() == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("state", "health", "shown"),
    [
        ({"Status": "restarting"}, "", "failed"),
        ({"Status": "paused"}, "", "failed"),
        ({}, "unhealthy", "failed"),
        ({}, "starting", "starting"),
        ({"Status": "removing"}, "", None),
        ({"Status": "dead"}, "", None),
    ],
)
async def test_the_reported_states(
    harness: Any, replica: Make, state: dict[str, str], health: str, shown: str | None
) -> None:
    harness.engine.add(replica(1), replica(2, state=state, health=health))
    await harness.resizer.initialize()
    assert await harness.states() == (["ready", shown] if shown else ["ready"])


async def test_a_replica_that_was_ready_and_is_not_has_failed(scene: Any) -> None:
    scene.engine.containers[f"{2:064x}"]["State"]["Health"]["Status"] = "starting"
    await scene.tick()
    assert await scene.states() == ["ready", "failed"]


async def test_a_copy_that_exited_on_request_is_removed_and_replaced(
    scene: Any, replica: Make
) -> None:
    scene.engine.add(replica(3, state={"Status": "exited"}, labels=CLONE))
    await scene.resize(3, ticks=2)
    assert scene.names() == ["1", "2", "4"]


async def test_a_created_container_is_left_to_its_creator(scene: Any, replica: Make) -> None:
    scene.engine.add(replica(3, state={"Status": "created"}, health=""))
    scene.engine.add(replica(4, state={"Status": "created"}, health="", labels=CLONE))
    await scene.resize(4)
    assert scene.names() == ["1", "2", "3", "4"]
    await scene.tick(10.0)
    await scene.tick()
    assert scene.names() == ["1", "2", "3", "5", "6"]


async def test_it_runs_until_it_is_cancelled_and_reads_the_events(
    scene: Any, engine_event: Make
) -> None:
    scene.engine.recorded_events = [engine_event(2, "kill", "15")]
    resizer = scene.resizer
    running = asyncio.create_task(resizer.run())
    async with asyncio.timeout(10.0):
        await resizer.resize(3)
        while (await resizer.status()).running < 2 or not scene.messages("make"):  # noqa: ASYNC110  the resizer runs in another task
            await asyncio.sleep(0.01)
    assert (await scene.states())[1] == "draining"
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()


async def test_the_start_of_the_first_replica_is_known_before_any_scale_up(
    harness: Any, replica: Make
) -> None:
    # It was ready before, too, an hour after its start.
    for number, seconds in ((1, 4.0), (2, 3600.0)):
        end = datetime.fromtimestamp(1000.0 + number + seconds, UTC).isoformat()
        health = {"Status": "healthy", "Log": [{"End": end, "ExitCode": 0}]}
        harness.engine.add(replica(number, state={"Health": health}))
    await harness.resizer.initialize()
    assert (await harness.resizer.status()).startups == [4.0]
