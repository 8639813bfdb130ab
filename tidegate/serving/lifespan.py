"""The lifespan of an application, run in the background so that the replica is live meanwhile."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import Final

from tidegate.serving.failures import describe
from tidegate.serving.lifecycle import Lifecycle
from tidegate.serving.loading import current_lifecycle
from tidegate.telemetry import get_logger
from tidegate.telemetry.asgi import ASGIApp, Message, Scope

START_UP: Final = "the start-up of the application"
"""The task of the lifecycle that ends when the application has started."""

RETURN_SECONDS: Final = 1.0
"""How long an application may take to return after it has shut down."""

log = get_logger("tidegate.serving.lifespan")


class _NotLifespanError(Exception):
    """An application that does not know lifespans has sent another message."""


class Lifespan:
    """The lifespan of one application.

    As the server's own part of the protocol ends at once, `/live` answers while the application starts. An
    application that does not know lifespans has started at once: it raises an exception or returns before it
    receives anything.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._task: asyncio.Task[None] | None = None
        self._received = False
        self._done = False
        self._stopping = False
        self._failed_stop: Exception | None = None
        self.started = False
        lifecycle.begin(START_UP)

    def start(self, scope: Scope) -> None:
        """Start the application, which gets this scope, in a task."""
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._ended = asyncio.Event()
        self._messages.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.create_task(self._run(scope), name="lifespan")

    async def stop(self) -> Exception | None:
        """Shut the application down, and wait until it has. A start-up that still runs is cancelled.

        Returns:
            Why it failed to shut down; None if it has not failed.
        """
        task = self._task
        if task is None or task.done():
            return None
        if self.started:
            self._stopping = True
            self._messages.put_nowait({"type": "lifespan.shutdown"})
            await self._ended.wait()
            # It has said that it is done; one that then waits for another message never returns.
            await asyncio.wait((task,), timeout=RETURN_SECONDS)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return self._failed_stop

    async def _run(self, scope: Scope) -> None:
        current_lifecycle.set(self._lifecycle)
        try:
            await self._app(scope, self._receive, self._send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  the server must live to report it
            self._raised(error)
        else:
            self._complete()
        finally:
            self._ended.set()

    async def _receive(self) -> Message:
        message = await self._messages.get()
        self._received = True
        return message

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            self._complete()
        elif kind == "lifespan.startup.failed":
            # Starlette sends it while it handles the exception, and raises that afterwards.
            error = sys.exception()
            self._fail(error or str(message.get("message", "")))
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            if kind == "lifespan.shutdown.failed":
                self._failed_stop = RuntimeError(message.get("message", ""))
            self._ended.set()
        else:
            raise _NotLifespanError(f"unexpected message {kind} in a lifespan")

    def _complete(self) -> None:
        if not self._done:
            self._done = self.started = True
            self._lifecycle.end(START_UP)

    def _fail(self, error: BaseException | str) -> None:
        if self._done:
            return
        self._done = True
        lines = error.strip().splitlines() if isinstance(error, str) else []
        text = (lines or ["no reason given"])[-1] if isinstance(error, str) else describe(error)
        reason = f"its start-up failed: {text}"
        cause = None if isinstance(error, str) else error
        log.error("the application failed to start", reason=reason, exc_info=cause)
        self._lifecycle.fail(reason)

    def _raised(self, error: BaseException) -> None:
        if self._stopping:
            self._failed_stop = error if isinstance(error, Exception) else RuntimeError(repr(error))
        elif self.started:
            log.error("the lifespan of the application failed", exc_info=error)
        elif self._received and not isinstance(error, _NotLifespanError):
            self._fail(error)
        else:  # it does not know lifespans
            self._complete()
