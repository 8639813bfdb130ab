"""The event of a request, and the `error.*` fields of an event. Pure functions."""

from __future__ import annotations

import traceback
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, Literal, TypeAlias

from tidegate.events.event import Event, Origin, encode, make_event, new_event_id, timestamp
from tidegate.telemetry.request_record import RequestRecord

STACK_CHARACTERS: Final = 32_768
"""Maximum length of a stack trace; the start of a longer one is cut off, as the error is at its end."""

_MAX_PATH_IN_MESSAGE: Final = 200
_Fault: TypeAlias = Literal["", "failed", "aborted"]
_MAX_CACHED: Final = 256
"""Characters of a method and a path: a client may choose longer ones."""


def milliseconds(duration_ns: int) -> str:
    """A duration for a message: `35 ms`, `3.2 ms`, `0.04 ms`."""
    value = duration_ns / 1e6
    if value >= 10:
        return f"{value:.0f} ms"
    return f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def error_type(error: BaseException) -> str:
    """The qualified class name of an exception, as in OpenTelemetry's `exception.type`."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def error_text(error: BaseException) -> str:
    """The message of an exception; its class name if `__str__` fails."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ may raise anything
        return f"<{type(error).__name__}>"


def error_fields(error: BaseException) -> dict[str, str]:
    """The `error.*` fields of an exception."""
    stack = "".join(traceback.format_exception(error))
    return {
        "type": error_type(error),
        "message": error_text(error),
        "stack_trace": stack[-STACK_CHARACTERS:],
    }


def request_line(origin: Origin, record: RequestRecord, route: str, end_ns: int) -> bytes:
    """The line of a request's wide event."""
    path, duration_ns = public_path(record, route), end_ns - record.arrived_ns
    fault: _Fault = "aborted" if record.aborted else "failed" if record.failed else ""
    find = _constant if len(record.method) + len(path) <= _MAX_CACHED else _constant.__wrapped__
    constant = find(origin, record.method, path, record.status, fault)
    own: dict[str, Any] = {"route": route, **record.fields}
    if record.received_ns > record.arrived_ns:
        own["gateway"] = {"queue_ns": record.received_ns - record.arrived_ns}
    event: Event = {
        **constant,
        "@timestamp": timestamp(end_ns),
        "message": f"{constant['message']} in {milliseconds(duration_ns)}",
        "event": {
            **constant["event"],
            "id": new_event_id(),
            "duration": duration_ns,
            "start": timestamp(record.arrived_ns),
        },
        "trace": {"id": record.trace_id},
        "span": {"id": record.span_id},
        "tidegate": own,
    }
    if record.parent is not None:
        event["parent"] = {"id": record.parent.span_id}
    if fault or record.reason is not None:
        event["error"] = _error(record)
    return encode(event)


@lru_cache(maxsize=256)
def _constant(origin: Origin, method: str, path: str, status: int | None, fault: _Fault) -> Event:
    """What the events of such requests have in common: to make it takes as long as all the rest."""
    http: dict[str, Any] = {"request": {"method": method}}
    if status is not None:
        http["response"] = {"status_code": status}
    is_refused = status is not None and status >= 400
    result = "client disconnected" if fault == "aborted" or status is None else status
    outcome = "failure" if fault else "success"
    return make_event(
        origin,
        "request",
        f"{method} {path[:_MAX_PATH_IN_MESSAGE]} {result}",
        unix_ns=0,
        level="error" if fault == "failed" else "warn" if fault or is_refused else "info",
        fields={
            "event": {"action": "request", "outcome": outcome},
            "http": http,
            "url": {"path": path},
        },
    )


def public_path(record: RequestRecord, route: str) -> str:
    """The path; with the names of its parameters in the place of their values where the route is known.

    A value may be secret, as in `/reset/{token}`.
    """
    # Where a parameter begins: `{id}` in most frameworks, `<int:id>` in Quart, Flask and Django.
    if "{" not in route and "<" not in route:
        return record.path
    root = record.root_path
    return root + route if root and record.path.startswith(root) else route


def _error(record: RequestRecord) -> dict[str, str]:
    if record.exception is not None and not record.aborted:
        error = error_fields(record.exception)
    elif record.aborted:
        error = _named(
            "client_disconnect", "the client disconnected before the response was complete"
        )
    elif record.broken:
        error = _named("incomplete_response", record.broken)
    elif record.failed:
        error = _named(str(record.status), _phrase(record.status or 0))
    else:
        error = {}
    # The reason that the application gave by `fail` takes precedence.
    return error if record.reason is None else error | _named(*record.reason)


def _named(kind: str, message: str) -> dict[str, str]:
    return {"type": kind, "message": message}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"HTTP status {status}"
