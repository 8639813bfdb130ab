"""Loading of a model in the background, while the replica is live and not yet ready."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Final, Generic, TypeVar, cast

from tidegate.serving.failures import LoadingError, describe
from tidegate.serving.lifecycle import Lifecycle
from tidegate.telemetry import get_logger

T = TypeVar("T")

current_lifecycle: Final[ContextVar[Lifecycle | None]] = ContextVar(
    "tidegate_current_lifecycle", default=None
)
"""The lifecycle of the replica whose lifespan runs; None outside a replica."""

log = get_logger("tidegate.serving.loading")


class Loading(Generic[T]):
    """Loads what an application needs, such as its model. `/ready` is 503 until it is loaded.

    Create it with the application (`loading = Loading[Model]("the model")`), start it in the lifespan
    (`loading.start(load_model)`), and await `loading.until_loaded()` in the endpoints.

    If the function fails, so does the replica: it stops with the reason and exit code 1. Outside a replica
    (in a test, or under another server) only `until_loaded` raises the error.

    Args:
        name: what is loaded, for people, as in "waiting for the model".
    """

    def __init__(self, name: str = "the model") -> None:
        self._name = name
        self._result: asyncio.Future[T] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, function: Callable[[], T] | Callable[[], Awaitable[T]]) -> None:
        """Run a function in a thread of its own, or a coroutine function in a task.

        Call it in the lifespan of the application. It may be called again when the application restarts.
        """
        lifecycle = current_lifecycle.get()
        if lifecycle is not None:
            lifecycle.begin(self._name)
        loop = asyncio.get_running_loop()
        result: asyncio.Future[T] = loop.create_future()
        self._result = result
        result.add_done_callback(lambda done: self._ended(done, lifecycle))
        if inspect.iscoroutinefunction(function):
            self._task = asyncio.create_task(self._await(function, result), name="loading")
            # Also of a task that is cancelled before its first step: somebody may wait for the result.
            self._task.add_done_callback(lambda _: result.cancel())
            return
        context = copy_context()

        def run() -> None:
            # A daemon, as a thread cannot be cancelled: the process must be able to end meanwhile.
            settle: Callable[[], None]
            try:
                settle = partial(result.set_result, _call(cast("Callable[[], T]", function)))
            except Exception as error:  # noqa: BLE001  it is the result
                settle = partial(result.set_exception, error)

            def settle_unless_done() -> None:
                if not result.done():  # else the loop is ending
                    settle()

            with suppress(RuntimeError):  # the loop is closed: nobody waits for the result
                loop.call_soon_threadsafe(settle_unless_done)

        threading.Thread(target=context.run, args=(run,), name="loading", daemon=True).start()

    async def until_loaded(self) -> T:
        """Wait for the result of the function.

        Raises:
            RuntimeError: it has not been started.
            Exception: what the function raised.
        """
        if self._result is None:
            raise RuntimeError(
                f"loading of {self._name} has not started: call start(function) in the lifespan of the "
                "application"
            )
        return await asyncio.shield(self._result)

    async def stop(self) -> None:
        """Cancel a coroutine function that still runs, and wait for its end. A thread cannot be cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _await(self, function: Callable[[], Awaitable[T]], result: asyncio.Future[T]) -> None:
        try:
            value = await function()
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # by `stop`, or at the end of the loop
                raise
            failure = LoadingError(
                f"loading {self._name} failed: it awaited a task that was cancelled"
            )
            failure.__cause__ = error
            result.set_exception(failure)
        except Exception as error:  # noqa: BLE001  it is the result
            result.set_exception(error)
        else:
            result.set_result(value)

    def _ended(self, result: asyncio.Future[T], lifecycle: Lifecycle | None) -> None:
        if result.cancelled():
            return
        error = result.exception()
        if error is None:
            if lifecycle is not None:
                lifecycle.end(self._name)
            return
        if isinstance(error, LoadingError):
            reason, cause = str(error), error.__cause__
        else:
            reason, cause = f"loading {self._name} failed: {describe(error)}", error
        log.error("loading failed", what=self._name, reason=reason, exc_info=cause)
        if lifecycle is not None:
            lifecycle.fail(reason)


def _call(function: Callable[[], T]) -> T:
    """What a function returns; the error is always one that a future takes."""
    try:
        value = function()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        # A thread ignores SystemExit, and a future takes no StopIteration.
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    if inspect.iscoroutine(value):
        value.close()
        name = getattr(function, "__qualname__", repr(function))
        text = f"{name} returned a coroutine; give Loading.start the coroutine function itself"
        raise TypeError(text)
    return value
