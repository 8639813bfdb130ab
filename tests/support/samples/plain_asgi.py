"""An ASGI application without a framework."""

from __future__ import annotations

from tidegate.telemetry import annotate, get_logger, set_route, span
from tidegate.telemetry.asgi import Receive, Scope, Send

LITESTAR_ROUTE = "path_template"


async def plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Responds to each path; /missing with 404, /broken with an exception.

    It leaves the route where Litestar does (`litestar/_asgi/asgi_router.py`: `scope["path_template"] =
    path_template`, when a route has matched), and for /quart/… states it by `set_route`.
    """
    assert scope["type"] == "http"
    path: str = scope["path"]
    if path == "/broken":
        raise ValueError("no way")
    status = 404 if path == "/missing" else 200
    if path.startswith("/items/"):
        scope[LITESTAR_ROUTE] = "/items/{item:int}"
    elif path.startswith("/quart/"):
        set_route("/quart/<int:item>")
    annotate(rows=3)
    with span("work"):
        get_logger("plain").info("working")
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": path.encode()})
