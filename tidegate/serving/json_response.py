"""JSON responses that need no framework."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tidegate.telemetry.asgi import Send


async def send_json(
    send: Send, status: int, body: Mapping[str, Any], *, retry_after_seconds: int | None = None
) -> None:
    """Send a complete JSON response."""
    content = orjson.dumps(body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    if retry_after_seconds is not None:
        headers.append((b"retry-after", str(retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def error_body(location: str, message: str, kind: str) -> dict[str, Any]:
    """The body of an error response, in the format of FastAPI's validation errors."""
    return {"detail": [{"loc": [location], "msg": message, "type": kind}]}
