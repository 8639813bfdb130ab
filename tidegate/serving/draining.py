"""Closing connections with their response while the replica drains."""

from __future__ import annotations

from collections.abc import Awaitable

from tidegate.serving.lifecycle import Lifecycle
from tidegate.telemetry.asgi import Message, Send


def closing_while_draining(send: Send, lifecycle: Lifecycle) -> Send:
    """The channel of a response; while the replica drains, `Connection: close` is in its headers.

    Otherwise the server would close idle connections on which the gateway may just send a request.
    """

    def send_closing(message: Message) -> Awaitable[None]:
        if lifecycle.draining and message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            message = {**message, "headers": headers}
        return send(message)

    return send_closing
