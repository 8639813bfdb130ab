"""The probes of a replica, `/live` and `/ready`, around an application that may have its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tidegate.serving.json_response import send_json
from tidegate.serving.lifecycle import Lifecycle
from tidegate.serving.ready_check import ReadyCheck
from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send

LIVE_PATH: Final = "/live"


class ProbesMiddleware:
    """Answers `/live` and `/ready`, and passes on every other request.

    A route of the application with such a path keeps answering it, except that `/ready` is a 503 while the
    replica loads or drains, or after it has failed, and `/live` is a 200 while it loads.

    Args:
        app: the application.
        lifecycle: the phase of the replica.
        ready_path: the path of the readiness probe, `replicas.ready_path`.
        own: whether the application has a route for a path.
        check: the application's check of readiness; None for none.
        version: the application's version, which `/ready` tells; empty if unknown.
    """

    def __init__(
        self,
        app: ASGIApp,
        lifecycle: Lifecycle,
        *,
        ready_path: str,
        own: Callable[[str], bool],
        check: ReadyCheck | None = None,
        version: str = "",
    ) -> None:
        self.app = app
        self._lifecycle = lifecycle
        self._ready_path = ready_path
        self._paths = frozenset({LIVE_PATH, ready_path})
        self._own = own
        self._check = check
        self._version = {"version": version} if version else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe, or pass the request on."""
        if (
            scope["type"] != "http"
            or scope["path"] not in self._paths
            or scope["method"] not in ("GET", "HEAD")
        ):
            await self.app(scope, receive, send)
        elif scope["path"] == self._ready_path:
            await self._ready(scope, receive, send)
        elif self._lifecycle.phase in ("ready", "draining") and self._own(LIVE_PATH):
            await self.app(scope, receive, send)
        else:
            await send_json(send, 200, {"status": "live"})

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, reason = self._lifecycle.phase, self._lifecycle.reason
        if status == "ready" and self._check is not None:
            reason = await self._check.problem()
            if reason:
                status = "loading"
        if status == "ready" and self._own(self._ready_path):
            await self.app(scope, receive, send)
            return
        if status == "ready":
            await send_json(send, 200, {"status": status} | self._version)
        else:
            body = {"status": status} | ({"reason": reason} if reason else {})
            await send_json(send, 503, body)
