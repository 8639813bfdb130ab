"""Refuses what arrives before the application has started."""

from __future__ import annotations

from tidegate.serving.json_response import error_body, send_json
from tidegate.serving.lifecycle import Lifecycle
from tidegate.serving.lifespan import Lifespan
from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send


class StartGate:
    """Middleware that answers 503 until the lifespan has started the application.

    A server would not listen until then; a replica does, so that its probes have an answer.

    Args:
        app: the application.
        lifespan: its lifespan.
        lifecycle: the phase of the replica.
    """

    def __init__(self, app: ASGIApp, lifespan: Lifespan, lifecycle: Lifecycle) -> None:
        self.app = app
        self._lifespan = lifespan
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request or websocket on, or refuse it."""
        if self._lifespan.started:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            reason = self._lifecycle.reason
            message = f"The application has not started: {reason or self._lifecycle.phase}"
            body = error_body("application", message, "not_ready")
            await send_json(send, 503, body, retry_after_seconds=1)
        else:
            await send({"type": "websocket.close", "code": 1013, "reason": "not started"})
