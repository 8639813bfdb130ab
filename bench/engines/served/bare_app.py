"""The least that a Python server takes for a prediction: parse, predict and answer in one ASGI callable.

No FastAPI, no Pydantic, no checks, no telemetry: what bounds a replica.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from flights_onnx import Flights

model = Flights()


async def app(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Answer any POST as /predict."""
    if scope["type"] != "http":
        raise RuntimeError("only requests")  # uvicorn goes on without a lifespan
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = orjson.dumps({"predictions": model.predict(orjson.loads(body)["instances"])})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
