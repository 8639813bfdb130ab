"""What fails, of the engine and of the resizer's own tasks, is logged, counted and tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tidegate.resizer.compose.engine import EngineError, EngineUnavailableError
from tidegate.resizer.compose.metrics import FaultCounter
from tidegate.resizer.contract import ResizerUnavailableError

Make = Callable[..., Any]


async def test_an_unreachable_engine_is_logged_once_and_retried(scene: Any) -> None:
    scene.engine.failing = EngineUnavailableError("the Docker engine cannot be reached: no file")
    await scene.tick(1.0)
    await scene.tick(8.0)
    assert (await scene.resizer.status()).ready == 2
    await scene.tick(2.0)
    with pytest.raises(ResizerUnavailableError, match="has not responded for 11 s"):
        await scene.resizer.status()
    with pytest.raises(ResizerUnavailableError):
        await scene.resizer.resize(3)
    assert len(scene.messages("engine")) == 1
    scene.engine.failing = None
    await scene.tick()
    assert scene.messages("engine")[1:] == ["the Docker engine responds again"]
    assert scene.names() == ["1", "2", "3"]


async def test_starts_are_retried_with_a_backoff_after_a_refusal(scene: Any) -> None:
    scene.engine.refusing = EngineError(500, "no memory")
    await scene.resize(3)
    assert scene.messages("refused") == ["shop-model-3: no memory"]
    assert scene.names() == ["1", "2"]  # the container has been removed again
    scene.resizer.tasks._start_backoff.random = lambda: 0.0
    scene.resizer.tasks._start_backoff.failures = 4
    await scene.tick()
    scene.engine.refusing = None
    await scene.tick(3.9)
    assert scene.names() == ["1", "2"]
    await scene.tick(0.2)
    assert scene.names() == ["1", "2", "3"]
    assert scene.messages("refused")[1:] == ["the engine starts replicas again"]


async def test_operations_that_are_cancelled_before_they_began_have_ended(scene: Any) -> None:
    tasks, (one, _) = scene.tasks, scene.observer.containers
    tasks.create(one, 3)
    tasks.drain(one)
    tasks.changed.clear()
    tasks.cancel()
    async with asyncio.timeout(10):
        await tasks.changed.wait()
    assert (dict(tasks.starting), set(tasks.draining)) == ({}, set())


async def test_a_start_and_a_drain_that_fail_unexpectedly_are_counted_and_tried_again(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call, number in (("create", 3), ("stop", 2)):
        monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)
        monkeypatch.setattr(scene.engine, call, _unexpected)
        await scene.resize(number)
        monkeypatch.undo()
        await scene.tick()
        assert scene.names() == ["1", "2", "3"][:number]
    event_log = scene.tasks.event_log
    assert event_log.faults == 2
    (counter,) = FaultCounter(event_log).collect()
    assert [(one.name, one.value) for one in counter.samples] == [
        ("tidegate_resizer_faults_total", 2)
    ]


async def test_events_that_fail_unexpectedly_are_followed_again(scene: Any) -> None:
    scene.engine.recorded_events = [None]
    logged = asyncio.Event()
    scene.tasks.event_log.listeners.append(
        lambda entry: logged.set() if entry.action == "fault" else None
    )
    running = asyncio.create_task(scene.resizer.run())
    async with asyncio.timeout(10):
        await logged.wait()
    assert scene.messages("fault")[0].startswith("engine events: failed unexpectedly")
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _unexpected(*arguments: Any) -> Any:
    raise ValueError(arguments[0])


async def test_a_name_conflict_with_compose_is_not_logged(scene: Any, replica: Make) -> None:
    hidden = replica(3, id="e" * 64)

    async def overtaken(name: str, body: dict[str, Any]) -> str:
        scene.engine.add(hidden)
        raise EngineError(409, f"the name {name} is in use")

    scene.engine.create = overtaken
    await scene.resize(3, ticks=2)
    assert scene.names() == ["1", "2", "3"]
    assert scene.messages("refused") == []


async def test_a_replica_that_was_removed_before_its_stop_counts_as_removed(scene: Any) -> None:
    await scene.resizer.resize(1)

    async def vanished(container: str, seconds: float) -> None:
        assert seconds == 35.0
        del scene.engine.containers[container]
        raise EngineError(404, "no such container")

    scene.engine.stop = vanished
    await scene.tick()
    assert scene.messages("gone") == ["removed shop-model-2"]


async def test_a_failed_stop_is_logged_and_retried(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)

    async def fails(container: str, seconds: float) -> None:
        raise EngineError(500, "cannot stop")

    scene.engine.stop, stop = fails, scene.engine.stop
    await scene.resize(1)
    assert scene.messages("drain") == [
        "draining shop-model-2: it finishes its requests",
        "shop-model-2: cannot stop",
    ]
    scene.engine.stop = stop
    await scene.tick()
    assert scene.names() == ["1"]
