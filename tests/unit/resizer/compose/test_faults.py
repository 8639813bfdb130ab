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


async def test_an_unreachable_engine_is_logged_once_and_retried(two_replicas: Any) -> None:
    two_replicas.engine.failing = EngineUnavailableError(
        "the Docker engine cannot be reached: no such file"
    )
    await two_replicas.tick(1.0)
    await two_replicas.tick(8.0)
    assert (await two_replicas.resizer.status()).ready == 2
    await two_replicas.tick(2.0)
    with pytest.raises(ResizerUnavailableError, match="has not responded for 11 s"):
        await two_replicas.resizer.status()
    with pytest.raises(ResizerUnavailableError):
        await two_replicas.resizer.resize(3)
    assert len(two_replicas.messages("engine")) == 1
    two_replicas.engine.failing = None
    await two_replicas.tick()
    assert two_replicas.messages("engine")[1:] == ["the Docker engine responds again"]
    assert two_replicas.names() == ["1", "2", "3"]


async def test_starts_are_retried_with_a_backoff_after_a_refusal(two_replicas: Any) -> None:
    two_replicas.engine.refusing = EngineError(500, "no memory")
    await two_replicas.resizer.resize(3)
    await two_replicas.tick()
    assert two_replicas.messages("refused") == ["shop-model-3: no memory"]
    assert two_replicas.names() == ["1", "2"]  # the container has been removed again
    two_replicas.resizer.tasks._start_backoff.random = lambda: 0.0
    two_replicas.resizer.tasks._start_backoff.failures = 4
    await two_replicas.tick()
    two_replicas.engine.refusing = None
    await two_replicas.tick(3.9)
    assert two_replicas.names() == ["1", "2"]
    await two_replicas.tick(0.2)
    assert two_replicas.names() == ["1", "2", "3"]
    assert two_replicas.messages("refused")[1:] == ["the engine starts replicas again"]


async def test_operations_that_are_cancelled_before_they_began_are_in_progress_no_more(
    two_replicas: Any,
) -> None:
    tasks, (one, _) = two_replicas.tasks, two_replicas.observer.containers
    tasks.create(one, 3)
    tasks.drain(one)
    tasks.changed.clear()
    tasks.cancel()
    async with asyncio.timeout(10):
        await tasks.changed.wait()
    assert (dict(tasks.starting), set(tasks.draining)) == ({}, set())


async def test_a_start_and_a_drain_that_fail_unexpectedly_are_counted_and_tried_again(
    two_replicas: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)
    monkeypatch.setattr(two_replicas.engine, "create", _unexpected)
    await two_replicas.resizer.resize(3)
    await two_replicas.tick()
    monkeypatch.undo()
    await two_replicas.tick(1.0)
    assert two_replicas.names() == ["1", "2", "3"]
    monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)
    monkeypatch.setattr(two_replicas.engine, "stop", _unexpected)
    await two_replicas.resizer.resize(2)
    await two_replicas.tick()
    monkeypatch.undo()
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2"]
    event_log = two_replicas.tasks.event_log
    assert event_log.faults == 2
    (counter,) = FaultCounter(event_log).collect()
    assert [(one.name, one.value) for one in counter.samples] == [
        ("tidegate_resizer_faults_total", 2)
    ]


async def test_events_that_fail_unexpectedly_are_followed_again(two_replicas: Any) -> None:
    two_replicas.engine.recorded_events = [None]
    logged = asyncio.Event()
    two_replicas.tasks.event_log.listeners.append(
        lambda entry: logged.set() if entry.action == "fault" else None
    )
    running = asyncio.create_task(two_replicas.resizer.run())
    async with asyncio.timeout(10):
        await logged.wait()
    assert two_replicas.messages("fault")[0].startswith("engine events: failed unexpectedly")
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def _unexpected(*arguments: Any) -> Any:
    raise ValueError(arguments[0])


async def test_a_name_conflict_with_compose_is_not_logged(two_replicas: Any, replica: Make) -> None:
    hidden = replica(3, id="e" * 64)

    async def overtaken(name: str, body: dict[str, Any]) -> str:
        two_replicas.engine.add(hidden)
        raise EngineError(409, f"the name {name} is in use")

    two_replicas.engine.create = overtaken
    await two_replicas.resizer.resize(3)
    await two_replicas.tick()
    await two_replicas.tick()
    assert two_replicas.names() == ["1", "2", "3"]
    assert two_replicas.messages("refused") == []


async def test_a_replica_that_was_removed_before_its_stop_counts_as_removed(
    two_replicas: Any,
) -> None:
    await two_replicas.resizer.resize(1)

    async def vanished(container: str, seconds: float) -> None:
        assert seconds == 35.0
        del two_replicas.engine.containers[container]
        raise EngineError(404, "no such container")

    two_replicas.engine.stop = vanished
    await two_replicas.tick()
    assert two_replicas.messages("gone") == ["removed shop-model-2"]


async def test_a_failed_stop_is_logged_and_retried(
    two_replicas: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.resizer.compose.tasks.RETRY_SECONDS", 0.0)

    async def fails(container: str, seconds: float) -> None:
        raise EngineError(500, "cannot stop")

    two_replicas.engine.stop, stop = fails, two_replicas.engine.stop
    await two_replicas.resizer.resize(1)
    await two_replicas.tick()
    assert two_replicas.messages("drain") == [
        "draining shop-model-2: it finishes its requests",
        "shop-model-2: cannot stop",
    ]
    two_replicas.engine.stop = stop
    await two_replicas.tick()
    assert two_replicas.names() == ["1"]
