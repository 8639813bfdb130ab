"""Loading in the background: the result, the phase of the replica, and what a failure does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from support.eventually import eventually_async
from tidegate.serving import Lifecycle, Loading, LoadingError
from tidegate.serving.loading import current_lifecycle


@pytest.fixture
def lifecycle() -> Any:
    found = Lifecycle()
    token = current_lifecycle.set(found)
    yield found
    current_lifecycle.reset(token)


async def test_a_function_loads_in_a_thread_of_its_own(lifecycle: Lifecycle) -> None:
    may_end = threading.Event()

    def load() -> str:
        assert threading.current_thread().daemon  # it does not delay the end of the process
        assert may_end.wait(30)
        return "a model"

    loading = Loading[str]("the model")
    loading.start(load)
    assert (lifecycle.phase, lifecycle.reason) == ("loading", "waiting for the model")
    waiting = asyncio.ensure_future(loading.until_loaded())
    may_end.set()
    assert await asyncio.wait_for(waiting, 30) == "a model"
    assert (lifecycle.phase, lifecycle.reason) == ("ready", "")
    assert await loading.until_loaded() == "a model"


async def test_a_coroutine_function_loads_in_a_task(lifecycle: Lifecycle) -> None:
    async def load() -> int:
        await asyncio.sleep(0)
        return 3

    loading = Loading[int]()
    loading.start(load)
    assert await loading.until_loaded() == 3
    await eventually_async(lambda: lifecycle.phase == "ready")


async def test_a_replica_is_ready_when_all_that_it_loads_is_loaded(lifecycle: Lifecycle) -> None:
    gates = {name: asyncio.Event() for name in ("the model", "the index")}
    for name, gate in gates.items():
        Loading[bool](name).start(gate.wait)
    assert lifecycle.reason == "waiting for the model, the index"
    gates["the model"].set()
    await eventually_async(lambda: lifecycle.reason == "waiting for the index")
    gates["the index"].set()
    await eventually_async(lambda: lifecycle.phase == "ready")


async def test_nobody_waits_for_a_task_that_was_cancelled_before_it_began() -> None:
    async def load() -> int:
        return 3

    loading = Loading[int]()
    loading.start(load)
    waiting = asyncio.ensure_future(loading.until_loaded())
    await loading.stop()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(waiting, 30)


async def test_a_function_that_awaited_a_cancelled_task_has_failed(lifecycle: Lifecycle) -> None:
    async def load() -> None:
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner

    loading = Loading[None]("the model")
    loading.start(load)
    with pytest.raises(LoadingError, match="loading the model failed: it awaited a task"):
        await asyncio.wait_for(loading.until_loaded(), 30)
    await eventually_async(lambda: lifecycle.phase == "failed")


def no_file() -> str:
    raise FileNotFoundError("model.pt")


async def no_file_either() -> str:
    raise FileNotFoundError("model.pt")


def lazy() -> Any:
    return no_file_either()


def raising(error: BaseException) -> Callable[[], str]:
    def load() -> str:
        raise error

    return load


@pytest.mark.parametrize(
    ("function", "error", "reason"),
    [
        (no_file, FileNotFoundError, "loading the model failed: FileNotFoundError: model.pt ("),
        (
            no_file_either,
            FileNotFoundError,
            "loading the model failed: FileNotFoundError: model.pt",
        ),
        (
            raising(SystemExit(3)),
            RuntimeError,
            "loading the model failed: RuntimeError: SystemExit: 3",
        ),
        (
            raising(StopIteration()),
            RuntimeError,
            "loading the model failed: RuntimeError: StopIteration",
        ),
        (raising(LoadingError("the licence has ended")), LoadingError, "the licence has ended"),
        (lazy, TypeError, "returned a coroutine; give Loading.start the coroutine function itself"),
    ],
)
async def test_a_failure_fails_the_replica_with_its_reason(
    lifecycle: Lifecycle, function: Any, error: type[Exception], reason: str
) -> None:
    failed: list[str] = []
    lifecycle.on_failure(lambda: failed.append(lifecycle.reason))
    loading = Loading[str]("the model")
    loading.start(function)
    with pytest.raises(error):
        await loading.until_loaded()
    await eventually_async(lambda: lifecycle.phase == "failed")
    assert reason in lifecycle.reason
    assert failed == [lifecycle.reason]


async def test_a_failure_while_draining_changes_nothing(lifecycle: Lifecycle) -> None:
    loading = Loading[str]()
    loading.start(no_file)
    lifecycle.drain()
    with pytest.raises(FileNotFoundError):
        await loading.until_loaded()
    assert lifecycle.phase == "draining"


async def test_outside_a_replica_it_loads_and_can_start_again() -> None:
    loading = Loading[int]()
    for number in range(2):
        loading.start(lambda number=number: number)
        assert await loading.until_loaded() == number


async def test_a_start_that_was_forgotten_is_named() -> None:
    with pytest.raises(RuntimeError, match=r"call start\(function\) in the lifespan"):
        await Loading[int]("the index").until_loaded()


async def test_stop_cancels_a_coroutine_function_and_waits_for_its_end(
    lifecycle: Lifecycle,
) -> None:
    ended: list[str] = []

    async def load() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("load")

    loading = Loading[None]()
    loading.start(load)
    await asyncio.sleep(0)
    await loading.stop()
    assert (ended, lifecycle.phase) == (["load"], "loading")
