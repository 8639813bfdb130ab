"""Closing connections with their response while the replica drains."""

from __future__ import annotations

from tidegate.serving.lifecycle import Lifecycle
from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send


class CloseWhileDraining:
    """Middleware that closes each connection with its response while the replica drains.

    Otherwise the server would close idle connections on which the gateway may just send a request.

    Args:
        app: the application.
        lifecycle: the phase of the replica.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self.app = app
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, with `Connection: close` in the response while the replica drains."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.phase == "draining":
                headers = [*message.get("headers", ()), (b"connection", b"close")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_closing)
