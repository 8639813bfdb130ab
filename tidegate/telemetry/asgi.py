"""The types of ASGI 3, and what differs between frameworks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_MAX_LAYERS: Final = 100
# Exceptions that state a response: of each framework, and of a replica's slots.
_RESPONSES: Final = frozenset({"HTTPException", "NoSlotError"})
_DISCONNECTS: Final = frozenset({"ClientDisconnect", "ClientDisconnected"})


def is_client_disconnect(error: BaseException) -> bool:
    """Whether a framework raised this exception because the client disconnected.

    By the names in Starlette (`starlette.requests`) and uvicorn, as neither has to be installed.
    """
    return type(error).__name__ in _DISCONNECTS


def ends_response(message: Message, *, trailers: bool) -> bool:
    """Whether this is the last message of a response, after its start, which announced trailers or not."""
    kind = message["type"]
    if kind == "http.response.body":
        return not (message.get("more_body", False) or trailers)
    if kind == "http.response.trailers":
        return not message.get("more_trailers", False)
    return bool(kind == "http.response.pathsend")


def fault_behind(
    error: BaseException | None, earlier: BaseException | None
) -> BaseException | None:
    """The fault that the exception that is being handled reports; None if it only states a response.

    `raise HTTPException(502) from error` reports `error`. What was handled `earlier`, before the request, is
    none: a program may run its server in an `except`.
    """
    if error is earlier:
        return None
    if error is None or _RESPONSES.isdisjoint(kind.__name__ for kind in type(error).__mro__):
        return error
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def is_starlette(app: object) -> bool:
    """Whether an application is one of Starlette or FastAPI, neither of which has to be installed."""
    try:
        from starlette.applications import Starlette  # noqa: PLC0415
    except ImportError:
        return False
    return isinstance(app, Starlette)


def layers(app: object) -> Iterator[object]:
    """An application and what it wraps, from the outside to the inside.

    Middlewares keep what they wrap as `app`, by convention: those of Starlette, OpenTelemetry and Sentry do.
    """
    for _ in range(_MAX_LAYERS):  # one that names itself must not be an endless loop
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)
