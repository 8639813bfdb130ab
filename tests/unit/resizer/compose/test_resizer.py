"""The control loop under events of the engine, of Compose and of a person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tidegate.resizer.compose.containers import CLONE_LABEL
from tidegate.resizer.compose.engine import EngineError, EngineUnavailableError
from tidegate.resizer.compose.resizer import CannotScaleError
from tidegate.resizer.contract import ResizeRefusedError, ResizerUnavailableError
from tidegate.settings import Replicas

Make = Callable[..., Any]
CLONE = {CLONE_LABEL: "f" * 64}
KILLED = {"Status": "exited", "ExitCode": 137, "FinishedAt": "1970-01-01T01:23:20Z"}


@pytest.fixture
async def begun(lab: Any, replica: Make) -> Any:
    """A resizer with two ready replicas."""
    lab.engine.add(replica(1), replica(2))
    await lab.resizer.begin()
    return lab


@pytest.mark.parametrize(("running", "desired"), [(1, 2), (3, 3), (5, 4)])
async def test_the_running_number_within_the_bounds_is_desired_at_first(
    lab: Any, replica: Make, running: int, desired: int
) -> None:
    lab.observer.settings = Replicas(min=2, start=2, max=4)
    lab.engine.add(*(replica(number) for number in range(1, running + 1)))
    await lab.resizer.begin()
    assert lab.resizer.desired == desired


async def test_without_a_replica_it_does_not_start(lab: Any) -> None:
    with pytest.raises(CannotScaleError, match="project shop has no container of service model"):
        await lab.resizer.begin()


async def test_parts_of_the_definition_that_allow_one_replica_only_are_named(
    lab: Any, replica: Make
) -> None:
    ports = {"PortBindings": {"8000/tcp": [{"HostPort": "8000"}]}}
    lab.engine.add(replica(1, name="the-model", host=ports))
    with pytest.raises(
        CannotScaleError,
        match="container_name: the-model and ports: host port 8000 for 8000/tcp: remove them from",
    ):
        await lab.resizer.begin()


async def test_such_a_definition_is_accepted_for_a_single_replica(lab: Any, replica: Make) -> None:
    lab.observer.settings = Replicas(min=1, max=1)
    lab.engine.add(replica(1, name="the-model"))
    await lab.resizer.begin()
    assert lab.resizer.desired == 1


async def test_a_definition_that_changes_to_a_single_replica_is_logged_once(
    begun: Any, replica: Make
) -> None:
    begun.engine.add(replica(3, name="the-model", created=3000.0))
    await begun.resizer.resize(4)
    await begun.tick()
    await begun.tick()
    assert len(begun.messages("single")) == 1
    assert begun.names() == ["/the-model", "1", "2"]
    begun.engine.containers.popitem()
    begun.engine.add(replica(4, created=4000.0))
    await begun.tick()
    assert begun.messages("single")[1:] == ["the service can have more than one replica again"]


async def test_a_starting_replica_is_counted_and_listed(begun: Any) -> None:
    status = await begun.resizer.resize(3)
    assert (status.desired, status.running) == (3, 2)
    await begun.resizer._try_tick()
    status = await begun.resizer.status()
    assert [(one.id, one.state, one.started_at) for one in status.replicas][2:] == [
        ("shop-model-3", "starting", begun.now)
    ]
    assert (status.running, status.ready) == (3, 2)
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    await begun.tick()
    three = (await begun.resizer.status()).replicas[2]
    assert (three.state, three.ready_at) == ("ready", begun.now)
    assert (await begun.resizer.status()).replicas[
        0
    ].ready_at is None  # it was ready before the resizer started


async def test_the_replica_with_the_lowest_load_is_drained_and_an_unknown_load_counts_as_busy(
    begun: Any,
) -> None:
    begun.metrics["http://10.0.0.1:8000/metrics"] = "tidegate_slots_busy 3.0\n"
    await begun.resizer.resize(1)
    await begun.tick()
    assert begun.names() == ["2"]


@pytest.mark.parametrize("desired", [0, 7])
async def test_a_number_out_of_bounds_is_refused(begun: Any, desired: int) -> None:
    with pytest.raises(ResizeRefusedError, match=r"outside \[1, 6\]"):
        await begun.resizer.resize(desired)


async def test_a_killed_replica_is_restarted_after_a_second(begun: Any) -> None:
    begun.event(2, "kill", "9")
    begun.event(2, "die")
    begun.engine.containers[f"{2:064x}"]["State"].update(KILLED)
    await begun.tick()
    assert (await begun.resizer.status()).replicas[1].state == "failed"
    assert begun.messages("revive") == []
    await begun.tick()
    assert begun.messages("revive") == ["restarted shop-model-2, which had exited with code 137"]
    await begun.tick()
    assert (await begun.resizer.status()).ready == 2


async def test_the_last_replica_is_recreated_from_the_remembered_template(begun: Any) -> None:
    begun.event(1, "die")
    begun.event(2, "die")
    begun.engine.containers.clear()
    await begun.tick()
    assert begun.names() == ["1", "2"]


async def test_after_a_manual_stop_of_the_service_nothing_is_done_until_a_replica_runs(
    begun: Any,
) -> None:
    for number in (1, 2):
        begun.event(number, "kill", "15")
    await begun.tick()
    assert {one.state for one in (await begun.resizer.status()).replicas} == {"draining"}
    for one in begun.engine.containers.values():
        one["State"].update(Status="exited")
    await begun.tick(5.0)
    await begun.resizer.resize(3)
    await begun.tick(5.0)
    assert len(begun.messages("held")) == 1
    assert begun.names() == ["1", "2"]
    assert (await begun.resizer.status()).replicas == []

    begun.event(1, "start")
    begun.engine.containers[f"{1:064x}"]["State"]["Status"] = "running"
    await begun.tick()
    assert len(begun.messages("held")) == 2
    assert begun.names() == ["1", "2", "3", "4"]  # number 2 is left to the client that stopped it


async def test_a_replica_that_compose_stops_is_replaced_while_it_still_drains(begun: Any) -> None:
    begun.event(2, "kill", "15")
    await begun.tick(0.5)
    assert begun.names() == ["1", "2"]
    await begun.tick(1.0)
    assert begun.names() == ["1", "2", "3"]


async def test_no_replica_is_created_within_a_second_after_an_external_exit(begun: Any) -> None:
    del begun.engine.containers[f"{2:064x}"]
    begun.event(2, "destroy")
    await begun.tick(0.5)
    assert begun.names() == ["1"]
    await begun.tick(0.5)
    assert begun.names() == ["1", "2"]


async def test_nothing_is_done_while_compose_replaces_a_container(
    begun: Any, replica: Make
) -> None:
    begun.engine.add(
        replica(2, id="e" * 64, name="000000000002_shop-model-2", state={"Status": "created"})
    )
    await begun.resizer.resize(4)
    await begun.tick()
    assert len(begun.names()) == 3
    assert len((await begun.resizer.status()).replicas) == 2
    await begun.tick(49.0)
    assert len(begun.names()) == 3
    await begun.tick(2.0)  # the replacement has timed out
    assert begun.names()[1:] == ["1", "2", "3", "4"]


async def test_a_replica_that_never_becomes_ready_is_replaced_after_start_seconds(
    begun: Any, replica: Make
) -> None:
    begun.engine.add(replica(3, health="starting", started=5000.0, labels=CLONE))
    await begun.resizer.resize(3)
    await begun.tick()
    await begun.tick(59.0)
    assert begun.messages("drain") == []
    assert (await begun.resizer.status()).replicas[2].state == "starting"
    await begun.tick(1.0)
    assert begun.messages("drain") == ["draining shop-model-3: it finishes its requests"]
    await begun.tick()
    assert begun.names() == ["1", "2", "4"]


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
    lab: Any, replica: Make, state: dict[str, str], health: str, shown: str | None
) -> None:
    lab.engine.add(replica(1), replica(2, state=state, health=health))
    await lab.resizer.begin()
    states = [one.state for one in (await lab.resizer.status()).replicas]
    assert states == ["ready", shown] if shown else states == ["ready"]


async def test_a_replica_that_was_ready_and_is_not_has_failed(begun: Any) -> None:
    begun.engine.containers[f"{2:064x}"]["State"]["Health"]["Status"] = "starting"
    await begun.tick()
    assert (await begun.resizer.status()).replicas[1].state == "failed"


async def test_a_copy_that_exited_on_request_is_removed_and_replaced(
    begun: Any, replica: Make
) -> None:
    begun.engine.add(replica(3, state={"Status": "exited"}, labels=CLONE))
    await begun.resizer.resize(3)
    await begun.tick()
    await begun.tick()
    assert begun.names() == ["1", "2", "4"]


async def test_a_created_container_is_left_to_its_creator(begun: Any, replica: Make) -> None:
    begun.engine.add(replica(3, state={"Status": "created"}, health=""))
    begun.engine.add(replica(4, state={"Status": "created"}, health="", labels=CLONE))
    await begun.resizer.resize(4)
    await begun.tick()
    assert begun.names() == ["1", "2", "3", "4"]
    await begun.tick(10.0)
    await begun.tick()
    assert begun.names() == ["1", "2", "3", "5", "6"]


async def test_an_unreachable_engine_is_logged_once_and_retried(begun: Any) -> None:
    begun.engine.failing = EngineUnavailableError(
        "the Docker engine cannot be reached: no such file"
    )
    await begun.tick(1.0)
    await begun.tick(8.0)
    assert (await begun.resizer.status()).ready == 2
    await begun.tick(2.0)
    with pytest.raises(ResizerUnavailableError, match="has not responded for 11 s"):
        await begun.resizer.status()
    with pytest.raises(ResizerUnavailableError):
        await begun.resizer.resize(3)
    assert len(begun.messages("engine")) == 1
    begun.engine.failing = None
    await begun.tick()
    assert begun.messages("engine")[1:] == ["the Docker engine responds again"]
    assert begun.names() == ["1", "2", "3"]


async def test_starts_are_retried_with_a_backoff_after_a_refusal(begun: Any) -> None:
    begun.engine.refusing = EngineError(500, "no memory")
    await begun.resizer.resize(3)
    await begun.tick()
    assert begun.messages("refused") == ["shop-model-3: no memory"]
    assert begun.names() == ["1", "2"]  # the container has been removed again
    begun.resizer.tasks._start_backoff.random = lambda: 0.0
    begun.resizer.tasks._start_backoff.failures = 4
    await begun.tick()
    begun.engine.refusing = None
    await begun.tick(3.9)
    assert begun.names() == ["1", "2"]
    await begun.tick(0.2)
    assert begun.names() == ["1", "2", "3"]
    assert begun.messages("refused")[1:] == ["the engine starts replicas again"]


async def test_a_name_conflict_with_compose_is_not_logged(begun: Any, replica: Make) -> None:
    hidden = replica(3, id="e" * 64)

    async def overtaken(name: str, body: dict[str, Any]) -> str:
        begun.engine.add(hidden)
        raise EngineError(409, f"the name {name} is in use")

    begun.engine.create = overtaken
    await begun.resizer.resize(3)
    await begun.tick()
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert begun.messages("refused") == []


async def test_a_replica_that_was_removed_before_its_stop_counts_as_removed(begun: Any) -> None:
    await begun.resizer.resize(1)

    async def vanished(container: str, seconds: float) -> None:
        assert seconds == 35.0
        del begun.engine.containers[container]
        raise EngineError(404, "no such container")

    begun.engine.stop = vanished
    await begun.tick()
    assert begun.messages("gone") == ["removed shop-model-2"]


async def test_a_failed_stop_is_logged_and_retried(
    begun: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)

    async def fails(container: str, seconds: float) -> None:
        raise EngineError(500, "cannot stop")

    begun.engine.stop, stop = fails, begun.engine.stop
    await begun.resizer.resize(1)
    await begun.tick()
    assert begun.messages("drain") == [
        "draining shop-model-2: it finishes its requests",
        "shop-model-2: cannot stop",
    ]
    begun.engine.stop = stop
    await begun.tick()
    assert begun.names() == ["1"]


async def test_it_runs_until_it_is_cancelled_and_reads_the_events(begun: Any) -> None:
    begun.engine.recorded_events = [
        {"Action": "kill", "Actor": {"ID": f"{2:064x}", "Attributes": {"signal": "15"}}}
    ]
    running = asyncio.create_task(begun.resizer.run())
    async with asyncio.timeout(10.0):
        await begun.resizer.resize(3)
        while (await begun.resizer.status()).running < 2 or not begun.messages("make"):  # noqa: ASYNC110  the resizer runs in another task
            await asyncio.sleep(0.01)
    states = {one.id: one.state for one in (await begun.resizer.status()).replicas}
    assert states["shop-model-2"] == "draining"
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert running.cancelled()
