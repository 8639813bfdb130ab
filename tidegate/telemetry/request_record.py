"""The record of one request, and the functions by which application code adds to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias

from tidegate.telemetry.asgi import ASGIApp
from tidegate.telemetry.propagation import Parent, format_traceparent
from tidegate.telemetry.routes import NO_ROUTE, RouteNames

MAX_SPANS: Final = 1000
"""Child spans recorded per request; further ones are dropped, so that a loop cannot exhaust the memory."""

SCOPE_KEY: Final = "tidegate.request"
"""The key of a request's record in its ASGI scope."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The source of times: the wall clock for dates, the monotonic clock for durations."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns


FindRoute: TypeAlias = Callable[[Mapping[str, Any], str], RouteNames]
"""The route of a request after the call, by its scope and the root path at its arrival."""


class ActiveSpan(Protocol):
    """A child span that has not ended."""

    def set(self, **attributes: Any) -> None:
        """Add attributes."""
        ...


class Tracing:
    """A tracing mode. This one, `off`, records no spans; the ids of a request are generated in each."""

    __slots__ = ()

    def instrument(self, app: Any) -> None:
        """Change a FastAPI or Starlette application, before the telemetry wraps it."""

    def wrap(self, app: ASGIApp, routes: Any) -> ASGIApp:
        """Wrap an application of any framework."""
        return app

    def span(
        self, record: RequestRecord, name: str, attributes: dict[str, Any]
    ) -> AbstractContextManager[ActiveSpan]:
        """A child span of the record's request."""
        return NO_SPAN

    def current_span_id(self, active: Active) -> str:
        """The id of the innermost active span."""
        return active.span_id

    def outgoing_headers(self, active: Active) -> dict[str, str]:
        """The headers that propagate the trace to another service: of W3C Trace Context."""
        record = active.record
        parent = format_traceparent(record.trace_id, active.span_id, sampled=record.sampled)
        headers = {"traceparent": parent}
        if record.parent is not None and record.parent.state:
            headers["tracestate"] = record.parent.state
        return headers

    def should_emit(self, record: RequestRecord, *, notable: bool) -> bool:
        """Whether the request has spans; a notable one failed or is slow."""
        return False

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None:
        """Write the request's spans, at its end."""


@dataclass(slots=True, eq=False)
class RequestRecord:
    """The data of a request, collected while it is served. Times are in nanoseconds since 1970.

    Attributes:
        tracing: the tracing mode of the application that serves it.
        write_log: writes a log record; `EventSink.write`.
        scope: the ASGI scope. Routing changes it, so method and paths are copied at the start.
        trace_id: 32 hexadecimal digits, generated at the start, as is `span_id` (16).
        parent: the parent span, or None.
        sampled: the decision of head sampling; a failed or slow request is sampled in any case.
        quiet: whether it is a probe or a scrape, of which nothing is recorded.
        received_ns: when the application received it.
        arrived_ns: when it arrived at the gateway; `received_ns` without a header that states it.
        started_ns: `received_ns` on the monotonic clock.
        find: finds its route; None without one.
        status: the HTTP status of the response; None before it is sent.
        first_byte_ns: when the first byte of the response's body was sent; None before, and where the
            objective is about the last one.
        fields: the `tidegate.*` fields of its event.
        reason: `error.type` and `error.message`, set by `fail`.
        exception: the exception that the application did not handle, or that it answered with a 5xx.
        logged: the exception in the line that its framework has logged, if any, and what writes that line.
        broken: why the response is incomplete; empty if it is complete.
        aborted: whether the client disconnected before the response was complete.
        finished: whether its event is written; later data are ignored.
        route: the route that the application set by `set_route`; empty if it set none.
    """

    tracing: Tracing
    write_log: Callable[..., None]
    clock: Clock
    scope: Mapping[str, Any]
    method: str
    path: str
    root_path: str
    trace_id: str
    span_id: str
    parent: Parent | None
    sampled: bool
    quiet: bool
    received_ns: int
    arrived_ns: int
    started_ns: int
    find: FindRoute | None = None
    status: int | None = None
    first_byte_ns: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    spans: list[SpanRecord] = field(default_factory=list)
    reason: tuple[str, str] | None = None
    exception: BaseException | None = None
    logged: tuple[BaseException | None, Callable[[], None]] | None = None
    broken: str = ""
    aborted: bool = False
    finished: bool = False
    route: str = ""

    @property
    def record(self) -> RequestRecord:
        """Itself, as of a span."""
        return self

    @property
    def failed(self) -> bool:
        """Whether the service failed: a 5xx response, an exception or an incomplete response."""
        if self.aborted:
            return False
        server_error = self.status is not None and self.status >= 500
        return server_error or self.exception is not None or bool(self.broken)

    def find_route(self) -> RouteNames:
        """The route: the one that the application set, else the one that its framework matched."""
        if self.route:
            return RouteNames(self.route, self.route)
        return NO_ROUTE if self.find is None else self.find(self.scope, self.root_path)

    def now_ns(self) -> int:
        """The time, unaffected by corrections of the wall clock."""
        return self.received_ns + self.clock.monotonic_ns() - self.started_ns


def record_of(scope: Mapping[str, Any]) -> RequestRecord | None:
    """The record of the request with this ASGI scope."""
    record = scope.get(SCOPE_KEY)
    return record if isinstance(record, RequestRecord) else None


_SCALARS: Final = frozenset({str, int, float, bool, list, type(None)})


@dataclass(slots=True, eq=False)
class SpanRecord:
    """A recorded child span: its name, its times, and the exception that ended it.

    Most spans are dropped with their request, and nobody asks for their id: it is made when it is needed.
    """

    record: RequestRecord
    name: str
    _new_id: Callable[[], str]
    attributes: dict[str, Any]
    parent: Active
    start_ns: int = 0
    end_ns: int | None = None
    error: Exception | None = None
    _made_id: dict[str, str] = field(default_factory=dict)
    _token: Token[Active | None] | None = None

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits."""
        # In a dict, as its `setdefault` is atomic: all threads that read it first get the same id.
        made = self._made_id
        return made.get("id") or made.setdefault("id", self._new_id())

    def __enter__(self) -> Self:
        record, active = self.record, current_request.get()
        if active is not None and active.record is record:
            self.parent = active
        self._token = current_request.set(self)
        if not record.finished and len(record.spans) < MAX_SPANS:
            record.spans.append(self)
        self.start_ns = record.now_ns()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end_ns = self.record.now_ns()
        if isinstance(error, Exception) and not self.record.finished:
            self.error = error
        token, self._token = self._token, None
        if token is not None:
            try:  # noqa: SIM105 - `suppress` takes as long as all the rest
                current_request.reset(token)
            except ValueError:
                # FastAPI exits a dependency that yields in a thread in another context than it entered it:
                # then there is nothing to restore.
                pass

    def set(self, **attributes: Any) -> None:
        """Add attributes."""
        self.attributes.update(attributes)


Active: TypeAlias = RequestRecord | SpanRecord
"""What the current code serves: a request, in its innermost active span if there is one."""

current_request: ContextVar[Active | None] = ContextVar("tidegate_current_request", default=None)


class _NoSpan:
    """A span that records nothing, as outside a request."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def set(self, **attributes: Any) -> None:
        pass


NO_SPAN = _NoSpan()


def annotate(**fields: Any) -> None:
    """Merge fields into this request's event under `tidegate`; nested dicts are merged.

    It has no effect outside a request and after the last byte of the response.
    """
    active = current_request.get()
    if active is not None:
        _merge(active.record.fields, fields)


def fail(error_type: str, message: str) -> None:
    """Set the reason why this request failed: `error.type` and `error.message` of its event."""
    active = current_request.get()
    if active is not None:
        active.record.reason = (error_type, message)


def set_route(template: str) -> None:
    """Set this request's route, for a framework that leaves none in the ASGI scope (Quart, Django, Falcon).

    Args:
        template: the route's template, such as `/items/<int:item>`. Never the path of the request: each route
            is a time series of its own.
    """
    active = current_request.get()
    if active is not None:
        active.record.route = template


def span(name: str, /, **attributes: Any) -> AbstractContextManager[ActiveSpan]:
    """Measure a part of this request: a context manager that records a child span.

    Example: `with span("predict", rows=3):`. Nested calls record nested spans. An exception marks the span as
    failed.
    """
    active = current_request.get()
    if active is None or (record := active.record).quiet:
        return NO_SPAN
    return record.tracing.span(record, name, attributes)


def outgoing_headers() -> dict[str, str]:
    """The headers that a request to another service needs to join this trace."""
    active = current_request.get()
    return {} if active is None else active.record.tracing.outgoing_headers(active)


def hold_log(error: BaseException | None, write: Callable[[], None]) -> bool:
    """Hold a line about an exception until this request's end, whose event may have it; False outside one."""
    active = current_request.get()
    if active is None:
        return False
    record = active.record
    if record.quiet or record.finished or record.logged is not None:
        return False
    record.logged = (error, write)
    return True


def current_ids() -> tuple[str, str] | None:
    """The trace id and the id of the innermost active span; None outside a request."""
    active = current_request.get()
    if active is None:
        return None
    return active.record.trace_id, active.record.tracing.current_span_id(active)


def request_ids() -> tuple[str, str] | None:
    """The trace id and the span id of this request's event; None outside a request."""
    active = current_request.get()
    return None if active is None else (active.record.trace_id, active.record.span_id)


def _merge(into: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        # The type of most mappings, as a test for the others takes ten times as long.
        kind = type(value)
        if kind is dict or (kind not in _SCALARS and isinstance(value, Mapping)):
            existing = into.get(name)
            into[name] = _merge(existing if isinstance(existing, dict) else {}, value)
        else:
            into[name] = value
    return into
