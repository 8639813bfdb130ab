"""The probes of a replica, `/live` and `/ready`, before an application that may have its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tidegate.serving.json_response import send_json
from tidegate.serving.lifecycle import Lifecycle
from tidegate.serving.ready_check import ReadyCheck
from tidegate.telemetry.asgi import Scope, Send

LIVE_PATH: Final = "/live"
READY_PATH: Final = "/ready"


class Probes:
    """Answers `/live` and `/ready`.

    A route of the application with such a path keeps answering it, except that `/ready` is a 503 while the
    replica loads or drains, or after it has failed, and `/live` is a 200 while it loads.

    Args:
        lifecycle: the phase of the replica.
        ready_path: the path of the readiness probe, `replicas.ready_path`; so is `/ready`, unless
            the application has that route.
        own: whether the application has a route for a path.
        check: the application's check of readiness; None for none.
        about: what `/ready` tells beside its status.
    """

    def __init__(
        self,
        lifecycle: Lifecycle,
        *,
        ready_path: str,
        own: Callable[[str], bool],
        check: ReadyCheck | None,
        about: Mapping[str, str],
    ) -> None:
        self._lifecycle = lifecycle
        self._ready_path = ready_path
        self._paths = frozenset({LIVE_PATH, READY_PATH, ready_path})
        self._own = own
        self._check = check
        self._about = about

    def match(self, scope: Scope) -> bool:
        """Whether a request is a probe."""
        path = scope["path"]
        if path not in self._paths or scope["method"] not in ("GET", "HEAD"):
            return False
        return path in (LIVE_PATH, self._ready_path) or not self._own(path)

    async def answer(self, scope: Scope, send: Send) -> bool:
        """Answer a probe; False if that is left to the application."""
        if scope["path"] != LIVE_PATH:
            return await self._answer_ready(scope["path"], send)
        if self._lifecycle.phase in ("ready", "draining") and self._own(LIVE_PATH):
            return False
        await send_json(send, 200, {"status": "live"})
        return True

    async def _answer_ready(self, path: str, send: Send) -> bool:
        status, reason = self._lifecycle.phase, self._lifecycle.reason
        if status == "ready" and self._check is not None:
            reason = await self._check.problem()
            if reason:
                status = "loading"
        if status != "ready":
            await send_json(send, 503, {"status": status} | ({"reason": reason} if reason else {}))
        elif self._own(path):
            return False
        else:
            await send_json(send, 200, {"status": status, **self._about})
        return True
