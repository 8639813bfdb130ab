"""The event of a request, and the `error.*` fields of an event. Pure functions."""

from __future__ import annotations

import re
import traceback
from http import HTTPStatus
from typing import Any, Final

from tidegate.events.event import Event, Level, Origin, make_event, timestamp
from tidegate.telemetry.request_record import RequestRecord

STACK_CHARACTERS: Final = 32_768
"""Maximum length of a stack trace; the start of a longer one is cut off, as the error is at its end."""

_MAX_PATH_IN_MESSAGE: Final = 200
_PARAMETER: Final = re.compile(r"[{<]")
"""Where a parameter begins: `{id}` in most frameworks, `<int:id>` in Quart, Flask and Django."""


def milliseconds(duration_ns: int) -> str:
    """A duration for a message: `35 ms`, `3.2 ms`, `0.04 ms`."""
    value = duration_ns / 1e6
    digits = 0 if value >= 10 else 1 if value >= 1 else 2
    return f"{value:.{digits}f} ms"


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


def request_event(origin: Origin, record: RequestRecord, route: str, end_ns: int) -> Event:
    """The wide event of a request."""
    status = record.status
    duration_ns = end_ns - record.arrived_ns
    failed = record.aborted or record.failed
    path = public_path(record, route)
    http: dict[str, Any] = {"request": {"method": record.method}}
    if status is not None:
        http["response"] = {"status_code": status}
    fields: dict[str, Any] = {
        "event": {
            "action": "request",
            "outcome": "failure" if failed else "success",
            "duration": duration_ns,
            "start": timestamp(record.arrived_ns),
        },
        "http": http,
        "url": {"path": path},
        "trace": {"id": record.trace_id},
        "span": {"id": record.span_id},
        "tidegate": {"route": route, **record.fields},
    }
    if record.received_ns > record.arrived_ns:
        fields["tidegate"]["gateway"] = {"queue_ns": record.received_ns - record.arrived_ns}
    if record.parent is not None:
        fields["parent"] = {"id": record.parent.span_id}
    if error := _error(record):
        fields["error"] = error
    outcome = status if status is not None and not record.aborted else "client disconnected"
    return make_event(
        origin,
        "request",
        f"{record.method} {path[:_MAX_PATH_IN_MESSAGE]} {outcome} in {milliseconds(duration_ns)}",
        unix_ns=end_ns,
        level=_level(record),
        fields=fields,
    )


def public_path(record: RequestRecord, route: str) -> str:
    """The path; with the names of its parameters in the place of their values where the route is known.

    A value may be secret, as in `/reset/{token}`.
    """
    if not _PARAMETER.search(route):
        return record.path
    root = record.root_path
    return root + route if root and record.path.startswith(root) else route


def _level(record: RequestRecord) -> Level:
    if record.failed:
        return "error"
    if record.aborted or (record.status is not None and record.status >= 400):
        return "warn"
    return "info"


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
