"""Native tracing: a request only notes its spans; real ones are made at its end, if it is kept.

The ids are made at the start, so that logs and outgoing headers can carry them; opentelemetry-sdk then
gets them through its IdGenerator, and the times explicitly.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from tidegate.telemetry.propagation import Parent, format_traceparent
from tidegate.telemetry.request_record import NotedSpan, Position, RequestRecord
from tidegate.telemetry.semconv import ServerSpans


class PresetIds(IdGenerator):
    """Hands the SDK the ids that were made when the request came in."""

    def __init__(self) -> None:
        self._next = threading.local()

    def preset(self, trace_id: str, span_id: str) -> None:
        """Set the ids of the next span made in this thread."""
        self._next.trace_id, self._next.span_id = int(trace_id, 16), int(span_id, 16)

    def generate_trace_id(self) -> int:
        """The preset trace id."""
        return int(self._next.trace_id)

    def generate_span_id(self) -> int:
        """The preset span id."""
        return int(self._next.span_id)

    def is_trace_id_random(self) -> bool:
        """They are: only the time at which they were made differs."""
        return True


@dataclass(slots=True)
class NativeTracing:
    """Notes spans, and makes real ones of what is kept."""

    provider: TracerProvider
    ids: PresetIds
    new_span_id: Callable[[], str]
    server_spans: ServerSpans = field(default_factory=ServerSpans)

    def span(self, record: RequestRecord, name: str, attributes: dict[str, Any]) -> NotedSpan:
        """Note a child span."""
        return NotedSpan(record, name, self.new_span_id(), attributes)

    def current_span_id(self, position: Position) -> str:
        """The id of the innermost noted span."""
        return position.span_id

    def outgoing_headers(self, position: Position) -> dict[str, str]:
        """`traceparent`, and `tracestate` if one came in."""
        return trace_headers(position)

    def keeps(self, record: RequestRecord, *, notable: bool) -> bool:
        """Whether the request's spans are made; notable ones (failed, slow) always are."""
        return (record.sampled or notable) and not self.server_spans.is_excluded(record.scope)

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None:
        """Make the request's spans, children first."""
        tracer = self.provider.get_tracer(
            "tidegate.telemetry", schema_url=self.server_spans.schema_url
        )
        name, attributes = self.server_spans.describe(record.scope, route)
        nested = record.parent is not None and not record.parent.remote
        self.ids.preset(record.trace_id, record.span_id)
        server = tracer.start_span(
            name,
            context=_context(record.parent),
            kind=SpanKind.INTERNAL if nested else SpanKind.SERVER,
            attributes=attributes,
            start_time=record.arrived_ns,
        )
        spans = {record.span_id: server}
        if record.arrived_ns < record.received_ns:
            # The wait in the gateway, which no code of ours could measure.
            record.spans.insert(0, _gateway_wait(record, self.new_span_id()))
        for noted in record.spans:
            self.ids.preset(record.trace_id, noted.span_id)
            above = spans.get(noted.parent_id, server)
            made = tracer.start_span(
                noted.name,
                context=set_span_in_context(above, Context()),
                attributes=noted.attributes,
                start_time=noted.start_ns,
            )
            spans[noted.span_id] = made
        for noted in reversed(record.spans):
            made = spans[noted.span_id]
            if noted.error is not None:
                _mark_failed(made, noted.error, noted.end_ns or end_ns)
            made.end(noted.end_ns or end_ns)
        if isinstance(record.exception, Exception) and not record.aborted:
            _mark_failed(server, record.exception, end_ns)
        if record.status is not None:
            self.server_spans.describe_answer(server, record.status, record.response_headers)
        server.end(end_ns)


def trace_headers(position: Position) -> dict[str, str]:
    """The W3C headers of the trace at this position."""
    record = position.record
    headers = {
        "traceparent": format_traceparent(record.trace_id, position.span_id, sampled=record.sampled)
    }
    if record.parent is not None and record.parent.state:
        headers["tracestate"] = record.parent.state
    return headers


def _context(parent: Parent | None) -> Context:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state]) if parent.state else None
    span_context = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=parent.remote,
        trace_flags=flags,
        trace_state=state,
    )
    return set_span_in_context(NonRecordingSpan(span_context), Context())


def _gateway_wait(record: RequestRecord, span_id: str) -> NotedSpan:
    wait = NotedSpan(record, "gateway wait", span_id, {})
    wait.start_ns, wait.end_ns = record.arrived_ns, record.received_ns
    return wait


def _mark_failed(span: Span, error: BaseException, at_ns: int) -> None:
    span.record_exception(error, timestamp=at_ns)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
