"""Native tracing: a request records its spans; OpenTelemetry spans are created at its end, if it is sampled.

The ids are generated at the start, so that logs and outgoing headers can contain them. The SDK gets them
through its IdGenerator, and the times as arguments.
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
    Tracer,
    TraceState,
    set_span_in_context,
)

from tidegate.telemetry.propagation import Parent, format_traceparent
from tidegate.telemetry.request_record import RequestContext, RequestRecord, SpanRecord
from tidegate.telemetry.semconv import ServerSpans


class PresetIds(IdGenerator):
    """Gives the SDK the ids that were generated when the request arrived."""

    def __init__(self) -> None:
        self._next = threading.local()

    def preset(self, trace_id: str, span_id: str) -> None:
        """Set the ids of the next span created in this thread."""
        self._next.trace_id, self._next.span_id = int(trace_id, 16), int(span_id, 16)

    def generate_trace_id(self) -> int:
        """The preset trace id."""
        return int(self._next.trace_id)

    def generate_span_id(self) -> int:
        """The preset span id."""
        return int(self._next.span_id)

    def is_trace_id_random(self) -> bool:
        """They are random, although generated earlier."""
        return True


@dataclass(slots=True)
class NativeTracing:
    """Records spans, and creates OpenTelemetry spans of the sampled requests."""

    provider: TracerProvider
    ids: PresetIds
    new_span_id: Callable[[], str]
    server_spans: ServerSpans = field(default_factory=ServerSpans)
    tracer: Tracer = field(init=False)

    def __post_init__(self) -> None:
        self.tracer = self.provider.get_tracer(
            "tidegate.telemetry", schema_url=self.server_spans.schema_url
        )

    def span(self, record: RequestRecord, name: str, attributes: dict[str, Any]) -> SpanRecord:
        """A recorded child span."""
        return SpanRecord(record, name, self.new_span_id, attributes)

    def current_span_id(self, context: RequestContext) -> str:
        """The id of the innermost recorded span."""
        return context.span_id

    def outgoing_headers(self, context: RequestContext) -> dict[str, str]:
        """`traceparent`, and `tracestate` if the request had one."""
        return trace_headers(context)

    def should_emit(self, record: RequestRecord, *, notable: bool) -> bool:
        """Whether to create the request's spans: if it is sampled, or notable (failed or slow)."""
        return (record.sampled or notable) and not self.server_spans.is_excluded(record.scope)

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None:
        """Create the request's spans."""
        tracer = self.tracer
        name, attributes = self.server_spans.name_and_attributes(record.scope, route)
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
            # The wait in the gateway, which is known from the arrival time only.
            record.spans.insert(0, _gateway_wait(record, self.new_span_id))
        for child in record.spans:
            self.ids.preset(record.trace_id, child.span_id)
            parent = spans.get(child.parent_id, server)
            created = tracer.start_span(
                child.name,
                context=set_span_in_context(parent, Context()),
                attributes=child.attributes,
                start_time=child.start_ns,
            )
            spans[child.span_id] = created
        for child in reversed(record.spans):
            created = spans[child.span_id]
            if child.error is not None:
                _mark_failed(created, child.error, child.end_ns or end_ns)
            created.end(child.end_ns or end_ns)
        if isinstance(record.exception, Exception) and not record.aborted:
            _mark_failed(server, record.exception, end_ns)
        if record.status is not None:
            self.server_spans.set_response_attributes(
                server, record.status, record.response_headers
            )
        server.end(end_ns)


def trace_headers(context: RequestContext) -> dict[str, str]:
    """The W3C headers of the trace in this context."""
    record = context.record
    headers = {
        "traceparent": format_traceparent(record.trace_id, context.span_id, sampled=record.sampled)
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


def _gateway_wait(record: RequestRecord, new_id: Callable[[], str]) -> SpanRecord:
    wait = SpanRecord(record, "gateway wait", new_id, {})
    wait.start_ns, wait.end_ns = record.arrived_ns, record.received_ns
    return wait


def _mark_failed(span: Span, error: BaseException, at_ns: int) -> None:
    span.record_exception(error, timestamp=at_ns)
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
