"""`make_replica(app)`: an ASGI application with slots, probes, drain and telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

from tidegate.runtime.slots_file import SlotsFile
from tidegate.runtime.start_phases import finish_start
from tidegate.serving.json_response import error_body, send_json
from tidegate.serving.lifecycle import Lifecycle
from tidegate.serving.lifespan import Lifespan
from tidegate.serving.probes import Probes
from tidegate.serving.ready_check import ReadyCheck
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots import SLOT_KEY, SlotMetrics, Slots
from tidegate.serving.slots_follower import SlotsFollower
from tidegate.serving.telemetry_layers import add_slots, telemetry_for
from tidegate.settings import Settings, load
from tidegate.telemetry import Telemetry, get_logger
from tidegate.telemetry.app_routes import AppRoutes
from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send, ends_response
from tidegate.telemetry.logs import is_recorded

log = get_logger("tidegate.serving.replica")

FASTAPI_DEFAULT_VERSION: Final = "0.1.0"
SPARE_THREADS: Final = 8
"""Threads beside those of requests in slots: for probes, documentation and background tasks."""


class Replica:
    """An application as a replica.

    Attributes:
        app: the ASGI application to serve; its lifespan must be run.
        settings: the settings.
        telemetry: the application's telemetry; register further metrics in its `registry`.
        slots: the request slots.
        slots_follower: applies the number of slots in the file `slots.file`.
        lifecycle: whether it loads, serves, drains, or has failed.
        about: what `/ready` tells beside its status once it is ready, such as the version; it may be changed.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        telemetry: Telemetry,
        slots: Slots,
        *,
        routes: AppRoutes,
        check: ReadyCheck | None,
        version: str = "",
    ) -> None:
        self.settings: Final = settings
        self.telemetry: Final = telemetry
        self.slots: Final = slots
        self.lifecycle: Final = Lifecycle()
        self.about: Final[dict[str, str]] = {"version": version} if version else {}
        file = settings.slots.file
        self.slots_follower: Final = SlotsFollower(
            slots, SlotsFile(file, settings.slots.effective_max) if file else None
        )
        self._lifespan = Lifespan(app, self.lifecycle)
        self.lifecycle.on_ready.append(_started)
        probes = Probes(
            self.lifecycle,
            ready_path=settings.replicas.ready_path,
            own=routes.defines,
            check=check,
            about=self.about,
        )

        # A function, as servers recognize an ASGI 3 application by it.
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            kind = scope["type"]
            if kind == "lifespan":
                await self._run(scope, receive, send)
                return
            answer = _Answer(send, self.lifecycle)
            if kind == "http" and probes.match(scope) and await probes.answer(scope, answer.send):
                return
            if not self._lifespan.started:
                await self._refuse(kind, answer.send)
                return
            try:
                await app(scope, receive, answer.send)
            except asyncio.CancelledError:
                if SLOT_KEY not in scope or not scope[SLOT_KEY].abandoned:
                    raise
            except Exception as error:
                if not answer.complete:
                    raise
                if not is_recorded(error):
                    log.exception("an exception after the response")

        self.app: Final[ASGIApp] = serve

    async def _refuse(self, kind: str, send: Send) -> None:
        """Refuse what arrives before the application has started.

        A server would not listen until then; a replica does, so that its probes have an answer.
        """
        if kind == "http":
            reason = self.lifecycle.reason or self.lifecycle.phase
            message = f"The application has not started: {reason}"
            body = error_body("application", message, "not_ready")
            await send_json(send, 503, body, retry_after_seconds=1)
        else:
            await send({"type": "websocket.close", "code": 1013, "reason": "not started"})

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application's lifespan within that of the server, whose start-up ends at once."""
        await receive()
        allow_threads(self.settings.slots.effective_max)
        self.slots_follower.apply()
        following = asyncio.create_task(self.slots_follower.run(), name="slots")
        self._lifespan.start(scope)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.lifecycle.drain()
        failed = await self._lifespan.stop()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        if failed is not None:
            self.telemetry.open()  # it was closed with the application
            log.error("the application failed to shut down", exc_info=failed)
        await asyncio.to_thread(self.telemetry.close)
        await send({"type": "lifespan.shutdown.complete"})


def make_replica(
    app: ASGIApp,
    settings: Settings | None = None,
    *,
    check: ReadyCheck | None = None,
    version: str = "",
) -> Replica:
    """Make a replica of an ASGI application, of any framework. Call it once, before its first request.

    An application that has set up its telemetry itself, such as by `instrument(app)`, keeps it. The settings
    say how many slots there are, and which paths take one.

    Args:
        app: the application.
        settings: the settings; None reads them from tidegate.toml and the environment.
        check: the application's check of readiness, as an addition to its start-up and to `Loading`.
        version: the version that `/ready` tells; by default the `version` of a FastAPI application.

    Raises:
        SettingsError: a setting is invalid.
        RuntimeError: the application has already served a request.
    """
    settings = load() if settings is None else settings
    routes = AppRoutes(app)
    instrumented, telemetry = telemetry_for(app, settings)
    numbers = settings.slots
    slots = Slots(
        numbers.per_replica,
        wait_length=numbers.wait_length,
        wait_seconds=numbers.wait_seconds,
        metrics=SlotMetrics(telemetry.registry, settings.slo),
    )
    return Replica(
        add_slots(instrumented, slots, SlotPaths(settings, app)),
        settings,
        telemetry,
        slots,
        routes=routes,
        check=check,
        version=version or _version_of(app),
    )


def _started() -> None:
    if phases := finish_start():
        log.info("ready", start_seconds=phases)


def _version_of(app: ASGIApp) -> str:
    version = getattr(app, "version", "")
    return version if isinstance(version, str) and version != FASTAPI_DEFAULT_VERSION else ""


class _Answer:
    """The channel of a response; it lets the server close no connection on which the gateway may just send.

    While the replica drains, `Connection: close` is in the headers, as the server closes idle connections.
    Whether the response is `complete`, decides what an exception does: the server closes the connection after
    one, and a request of somebody else could be on it (7 of 900 POSTs got a 502).
    """

    __slots__ = ("_lifecycle", "_send", "_trailers", "complete")

    def __init__(self, send: Send, lifecycle: Lifecycle) -> None:
        self._send = send
        self._lifecycle = lifecycle
        self._trailers = self.complete = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message of the application."""
        if message["type"] == "http.response.start":
            self._trailers = message.get("trailers", False)
            if self._lifecycle.draining:
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
        elif ends_response(message, trailers=self._trailers):
            self.complete = True
        return self._send(message)


def allow_threads(slots: int) -> None:
    """Let the running event loop have a thread for each slot; call it in a coroutine.

    anyio, by which Starlette runs plain functions, allows 40 by default. With more slots, requests would wait
    for a thread while they hold a slot, and that wait would count as service time.
    """
    try:
        from anyio import to_thread  # noqa: PLC0415  other frameworks do not need it
    except ImportError:
        return
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = max(limiter.total_tokens, slots + SPARE_THREADS)
