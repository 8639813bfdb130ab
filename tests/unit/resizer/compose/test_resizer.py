"""The control loop under events of the engine, of Compose and of a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tidegate.resizer.compose.containers import CLONE_LABEL
from tidegate.resizer.compose.resizer import CannotScaleError
from tidegate.resizer.contract import ResizeRefusedError
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


async def test_such_a_definition_is_accepted_for_a_single_replica(
    harness: Any, replica: Make
) -> None:
    harness.observer.settings = Replicas(min=1, max=1)
    harness.engine.add(replica(1, name="the-model"))
    await harness.resizer.initialize()
    assert harness.resizer.desired == 1


async def test_a_definition_that_changes_to_a_single_replica_is_logged_once(
    two_replicas: Any, replica: Make
) -> None:
    two_replicas.engine.add(replica(3, name="the-model", created=3000.0))
    await two_replicas.resizer.resize(4)
    await two_replicas.tick()
    await two_replicas.tick()
    assert len(two_replicas.messages("single")) == 1
    assert two_replicas.names() == ["/the-model", "1", "2"]
    two_replicas.engine.containers.popitem()
    two_replicas.engine.add(replica(4, created=4000.0))
    await two_replicas.tick()
    assert two_replicas.messages("single")[1:] == [
        "the service can have more than one replica again"
    ]


async def test_a_starting_replica_is_counted_and_listed(two_replicas: Any) -> None:
    status = await two_replicas.resizer.resize(3)
    assert (status.desired, status.running) == (3, 2)
    await two_replicas.resizer._try_tick()
    status = await two_replicas.resizer.status()
    assert [(one.id, one.state, one.started_at) for one in status.replicas][2:] == [
        ("shop-model-3", "starting", two_replicas.now)
    ]
    assert (status.running, status.ready) == (3, 2)
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "3"]
    await two_replicas.tick()
    three = (await two_replicas.resizer.status()).replicas[2]
    assert (three.state, three.ready_at) == ("ready", two_replicas.now)
    assert (await two_replicas.resizer.status()).replicas[
        0
    ].ready_at is None  # it was ready before the resizer started


async def test_the_replica_with_the_lowest_load_is_drained_and_an_unknown_load_counts_as_busy(
    two_replicas: Any,
) -> None:
    two_replicas.metrics["http://10.0.0.1:8000/metrics"] = "tidegate_slots_busy 3.0\n"
    await two_replicas.resizer.resize(1)
    await two_replicas.tick()
    assert two_replicas.names() == ["2"]


@pytest.mark.parametrize("desired", [0, 7])
async def test_a_number_out_of_bounds_is_refused(two_replicas: Any, desired: int) -> None:
    with pytest.raises(ResizeRefusedError, match=r"outside \[1, 6\]"):
        await two_replicas.resizer.resize(desired)


async def test_a_killed_replica_is_restarted_after_a_second(two_replicas: Any) -> None:
    two_replicas.event(2, "kill", "9")
    two_replicas.event(2, "die")
    two_replicas.engine.containers[f"{2:064x}"]["State"].update(KILLED)
    await two_replicas.tick()
    assert (await two_replicas.resizer.status()).replicas[1].state == "failed"
    assert two_replicas.messages("revive") == []
    await two_replicas.tick()
    assert two_replicas.messages("revive") == [
        "restarted shop-model-2, which had exited with code 137"
    ]
    await two_replicas.tick()
    assert (await two_replicas.resizer.status()).ready == 2


async def test_the_last_replica_is_recreated_from_the_remembered_template(
    two_replicas: Any,
) -> None:
    two_replicas.event(1, "die")
    two_replicas.event(2, "die")
    two_replicas.engine.containers.clear()
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2"]


async def test_after_a_manual_stop_of_the_service_nothing_is_done_until_a_replica_runs(
    two_replicas: Any,
) -> None:
    for number in (1, 2):
        two_replicas.event(number, "kill", "15")
    await two_replicas.tick()
    assert {one.state for one in (await two_replicas.resizer.status()).replicas} == {"draining"}
    for one in two_replicas.engine.containers.values():
        one["State"].update(Status="exited")
    await two_replicas.tick(5.0)
    await two_replicas.resizer.resize(3)
    await two_replicas.tick(5.0)
    assert len(two_replicas.messages("held")) == 1
    assert two_replicas.names() == ["1", "2"]
    assert (await two_replicas.resizer.status()).replicas == []

    two_replicas.event(1, "start")
    two_replicas.engine.containers[f"{1:064x}"]["State"]["Status"] = "running"
    await two_replicas.tick()
    assert len(two_replicas.messages("held")) == 2
    assert two_replicas.names() == [
        "1",
        "2",
        "3",
        "4",
    ]  # number 2 is left to the client that stopped it


async def test_a_replica_that_compose_stops_is_replaced_while_it_still_drains(
    two_replicas: Any,
) -> None:
    two_replicas.event(2, "kill", "15")
    await two_replicas.tick(0.5)
    assert two_replicas.names() == ["1", "2"]
    await two_replicas.tick(1.0)
    assert two_replicas.names() == ["1", "2", "3"]


async def test_no_replica_is_created_within_a_second_after_an_external_exit(
    two_replicas: Any,
) -> None:
    del two_replicas.engine.containers[f"{2:064x}"]
    two_replicas.event(2, "destroy")
    await two_replicas.tick(0.5)
    assert two_replicas.names() == ["1"]
    await two_replicas.tick(0.5)
    assert two_replicas.names() == ["1", "2"]


async def test_nothing_is_done_while_compose_replaces_a_container(
    two_replicas: Any, replica: Make
) -> None:
    two_replicas.engine.add(
        replica(2, id="e" * 64, name="000000000002_shop-model-2", state={"Status": "created"})
    )
    await two_replicas.resizer.resize(4)
    await two_replicas.tick()
    assert len(two_replicas.names()) == 3
    assert len((await two_replicas.resizer.status()).replicas) == 2
    await two_replicas.tick(49.0)
    assert len(two_replicas.names()) == 3
    await two_replicas.tick(2.0)  # the replacement has timed out
    assert two_replicas.names()[1:] == ["1", "2", "3", "4"]


async def test_a_replica_that_never_becomes_ready_is_replaced_after_start_seconds(
    two_replicas: Any, replica: Make
) -> None:
    two_replicas.engine.add(replica(3, health="starting", started=5000.0, labels=CLONE))
    await two_replicas.resizer.resize(3)
    await two_replicas.tick()
    await two_replicas.tick(59.0)
    assert two_replicas.messages("drain") == []
    assert (await two_replicas.resizer.status()).replicas[2].state == "starting"
    await two_replicas.tick(1.0)
    assert two_replicas.messages("drain") == ["draining shop-model-3: it finishes its requests"]
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "4"]


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
    states = [one.state for one in (await harness.resizer.status()).replicas]
    assert states == ["ready", shown] if shown else states == ["ready"]


async def test_a_replica_that_was_ready_and_is_not_has_failed(two_replicas: Any) -> None:
    two_replicas.engine.containers[f"{2:064x}"]["State"]["Health"]["Status"] = "starting"
    await two_replicas.tick()
    assert (await two_replicas.resizer.status()).replicas[1].state == "failed"


async def test_a_copy_that_exited_on_request_is_removed_and_replaced(
    two_replicas: Any, replica: Make
) -> None:
    two_replicas.engine.add(replica(3, state={"Status": "exited"}, labels=CLONE))
    await two_replicas.resizer.resize(3)
    await two_replicas.tick()
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "4"]


async def test_a_created_container_is_left_to_its_creator(two_replicas: Any, replica: Make) -> None:
    two_replicas.engine.add(replica(3, state={"Status": "created"}, health=""))
    two_replicas.engine.add(replica(4, state={"Status": "created"}, health="", labels=CLONE))
    await two_replicas.resizer.resize(4)
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "3", "4"]
    await two_replicas.tick(10.0)
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "3", "5", "6"]


async def test_it_runs_until_it_is_cancelled_and_reads_the_events(two_replicas: Any) -> None:
    two_replicas.engine.recorded_events = [
        {"Action": "kill", "Actor": {"ID": f"{2:064x}", "Attributes": {"signal": "15"}}}
    ]
    harness, resizer = two_replicas, two_replicas.resizer
    running = asyncio.create_task(resizer.run())
    async with asyncio.timeout(10.0):
        await resizer.resize(3)
        while (await resizer.status()).running < 2 or not harness.messages("make"):  # noqa: ASYNC110  the resizer runs in another task
            await asyncio.sleep(0.01)
    states = {one.id: one.state for one in (await resizer.status()).replicas}
    assert states["shop-model-2"] == "draining"
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
