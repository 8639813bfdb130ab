"""The record of one request, and what application code may do with it while it is served."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

from tidegate.events.event import Level
from tidegate.telemetry.propagation import Parent

MOST_SPANS: Final = 1000
"""Child spans noted of one request; further ones are not, so that a loop cannot fill the memory."""

SCOPE_KEY: Final = "tidegate.request"
"""Where a request's record lies in its ASGI scope."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Where times come from: the wall clock for dates, the monotonic one for durations."""

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns


class ActiveSpan(Protocol):
    """A child span while it runs."""

    def set(self, **attributes: Any) -> None:
        """Add attributes."""
        ...


class AppLog(Protocol):
    """Where the log lines of an application go."""

    def write(
        self,
        logger: str,
        level: Level,
        message: str,
        fields: Mapping[str, Any] | None = None,
        *,
        error: BaseException | None = None,
        ids: tuple[str, str] | None = None,
    ) -> None:
        """Write an `app` event; `fields` go under `tidegate`."""
        ...


class Tracing(Protocol):
    """One way of tracing: `native`, `opentelemetry` or `off`."""

    def span(
        self, record: RequestRecord, name: str, attributes: dict[str, Any]
    ) -> AbstractContextManager[ActiveSpan]:
        """A child span of the record's request."""
        ...

    def current_span_id(self, position: Position) -> str:
        """The id of the innermost span that runs here."""
        ...

    def outgoing_headers(self, position: Position) -> dict[str, str]:
        """The headers that carry the trace on to another service."""
        ...


@dataclass(slots=True, eq=False)
class RequestRecord:
    """What becomes of a request, noted while it is served. Times are in nanoseconds since 1970.

    Attributes:
        tracing: the way of tracing of the app that serves it.
        sink: where its application logs go.
        scope: the ASGI scope; routing changes it, so what it held at the start is kept beside it.
        trace_id: 32 hexadecimal digits, made at the start, as is `span_id` (16).
        parent: what it belongs under, or None.
        sampled: whether its spans are kept so far; an error or a slow answer can still change that.
        quiet: a probe or a scrape, which leaves nothing behind.
        received_ns: when the app got it.
        arrived_ns: when it arrived at the gateway; `received_ns` if no stamp says otherwise.
        started_ns: `received_ns` on the monotonic clock.
        status: the HTTP status that was sent; None before.
        fields: the `tidegate.*` fields of its event.
        reason: what `fail` said, as `error.type` and `error.message`.
        exception: what the application raised and did not handle.
        broken: what became of an answer that the service did not complete; empty if it did.
        aborted: whether the client left before the answer was complete.
        finished: its event is written; what is noted from now on comes too late.
    """

    tracing: Tracing
    sink: AppLog
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
    status: int | None = None
    response_headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)
    spans: list[NotedSpan] = field(default_factory=list)
    reason: tuple[str, str] | None = None
    exception: BaseException | None = None
    broken: str = ""
    aborted: bool = False
    finished: bool = False

    @property
    def failed(self) -> bool:
        """Whether the service failed: a 5xx, an exception, an answer not completed."""
        if self.aborted:
            return False
        answered_badly = self.status is not None and self.status >= 500
        return answered_badly or self.exception is not None or bool(self.broken)

    def now_ns(self) -> int:
        """Now, on a clock that the wall clock's corrections do not touch."""
        return self.received_ns + self.clock.monotonic_ns() - self.started_ns


def record_of(scope: Mapping[str, Any]) -> RequestRecord | None:
    """The record of the request with this ASGI scope."""
    record = scope.get(SCOPE_KEY)
    return record if isinstance(record, RequestRecord) else None


class Position(NamedTuple):
    """Where code runs: in which request, and under which of its spans."""

    record: RequestRecord
    span_id: str


position: ContextVar[Position | None] = ContextVar("tidegate_position", default=None)


class NotedSpan:
    """A child span of a request: its name and times, and what passed through it."""

    __slots__ = (
        "_token",
        "attributes",
        "end_ns",
        "error",
        "name",
        "parent_id",
        "record",
        "span_id",
        "start_ns",
    )

    def __init__(
        self, record: RequestRecord, name: str, span_id: str, attributes: dict[str, Any]
    ) -> None:
        self.record = record
        self.name = name
        self.span_id = span_id
        self.attributes = attributes
        self.parent_id = record.span_id
        self.start_ns = 0
        self.end_ns: int | None = None
        self.error: Exception | None = None
        self._token: Token[Position | None] | None = None

    def __enter__(self) -> Self:
        record = self.record
        here = position.get()
        if here is not None and here.record is record:
            self.parent_id = here.span_id
        self._token = position.set(Position(record, self.span_id))
        if not record.finished and len(record.spans) < MOST_SPANS:
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
            # Left in another context than it was entered in, as FastAPI does with a dependency that
            # yields in a thread, there is nothing to restore.
            with suppress(ValueError):
                position.reset(token)

    def set(self, **attributes: Any) -> None:
        """Add attributes."""
        self.attributes.update(attributes)


class _NoSpan:
    """Outside a request there is nothing to measure."""

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

    Does nothing outside a request, and once the last byte of the answer is on its way.
    """
    here = position.get()
    if here is not None:
        _merge(here.record.fields, fields)


def fail(error_type: str, message: str) -> None:
    """Say why this request failed: `error.type` and `error.message` of its event."""
    here = position.get()
    if here is not None:
        here.record.reason = (error_type, message)


def span(name: str, /, **attributes: Any) -> AbstractContextManager[ActiveSpan]:
    """Measure a part of this request: a context manager that makes a child span.

    As in `with span("predict", rows=3):`. Nested calls make nested spans. An exception that passes
    through marks the span as failed.
    """
    here = position.get()
    if here is None or here.record.quiet:
        return NO_SPAN
    return here.record.tracing.span(here.record, name, attributes)


def outgoing_headers() -> dict[str, str]:
    """The headers to send on with a request to another service, so that it joins this trace."""
    here = position.get()
    return {} if here is None else here.record.tracing.outgoing_headers(here)


def current_ids() -> tuple[str, str] | None:
    """The trace id and the id of the innermost span here; None outside a request."""
    here = position.get()
    if here is None:
        return None
    return here.record.trace_id, here.record.tracing.current_span_id(here)


def request_ids() -> tuple[str, str] | None:
    """The trace id and the span id of this request's event, whichever span is innermost; None outside one."""
    here = position.get()
    return None if here is None else (here.record.trace_id, here.record.span_id)


def _merge(into: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            held = into.get(name)
            into[name] = _merge(held if isinstance(held, dict) else {}, value)
        else:
            into[name] = value
    return into
