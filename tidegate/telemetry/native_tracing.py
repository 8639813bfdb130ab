"""Native tracing: a request records its spans; OpenTelemetry spans are created at its end, if it is sampled.

The ids are generated at the start, so that logs and outgoing headers can contain them. The spans are created
as ended ones, without the SDK's tracer: it takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tidegate.telemetry.propagation import Parent, format_traceparent
from tidegate.telemetry.request_event import error_fields
from tidegate.telemetry.request_record import RequestContext, RequestRecord, SpanRecord
from tidegate.telemetry.semconv import ServerSpans

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_ROOT: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


@dataclass(slots=True)
class NativeTracing:
    """Records spans, and creates OpenTelemetry spans of the sampled requests.

    Attributes:
        provider: says which resource they are of.
        ended: takes them.
        new_span_id: generates their ids.
    """

    provider: TracerProvider
    ended: SpanProcessor
    new_span_id: Callable[[], str]
    server_spans: ServerSpans = field(default_factory=ServerSpans)
    limits: SpanLimits = field(default_factory=SpanLimits)
    scope: InstrumentationScope = field(init=False)

    def __post_init__(self) -> None:
        self.scope = InstrumentationScope("tidegate.telemetry", "", self.server_spans.schema_url)

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
        trace_id = int(record.trace_id, 16)
        parent = None if record.parent is None else _context(record.parent)
        flags = _SAMPLED_ROOT if parent is None else _SAMPLED
        state = None if parent is None else parent.trace_state

        def context(span_id: str) -> SpanContext:
            return SpanContext(trace_id, int(span_id, 16), False, flags, state)

        server = context(record.span_id)
        if record.arrived_ns < record.received_ns:
            # The wait in the gateway, which is known from the arrival time only.
            wait = self.span(record, "gateway wait", {})
            wait.start_ns, wait.end_ns = record.arrived_ns, record.received_ns
            record.spans.insert(0, wait)
        contexts = {child.span_id: context(child.span_id) for child in record.spans}
        for child in reversed(record.spans):
            child.end_ns = child.end_ns or end_ns
            self._end(child, contexts[child.span_id], contexts.get(child.parent_id, server))
        span = self.span(record, *self.server_spans.name_and_attributes(record.scope, route))
        span.start_ns, span.end_ns = record.arrived_ns, end_ns
        if isinstance(record.exception, Exception) and not record.aborted:
            span.error = record.exception
        status = Status()
        if record.status is not None:
            answered, status = self.server_spans.response(record.status, record.response_headers)
            span.attributes |= answered
        nested = parent is not None and not parent.is_remote
        kind = SpanKind.INTERNAL if nested else SpanKind.SERVER
        self._end(span, server, parent, kind, status)

    def _end(
        self,
        span: SpanRecord,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = Status(),
    ) -> None:
        """Create a span, within the limits of the `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*` variables."""
        limits = self.limits
        events = []
        if span.error is not None:
            error = error_fields(span.error)
            attributes = {
                "exception.type": error["type"],
                "exception.message": error["message"],
                "exception.stacktrace": error["stack_trace"],
                "exception.escaped": "False",
            }
            most, longest = limits.max_event_attributes, limits.max_attribute_length
            bounded = BoundedAttributes(most, attributes, max_value_len=longest)
            events.append(Event("exception", bounded, timestamp=span.end_ns))
            if status.status_code is StatusCode.UNSET:
                text = f"{type(span.error).__name__}: {error['message']}"
                status = Status(StatusCode.ERROR, text)
        most, longest = limits.max_span_attributes, limits.max_span_attribute_length
        self.ended.on_end(
            ReadableSpan(
                span.name,
                context,
                parent,
                self.provider.resource,
                BoundedAttributes(most, span.attributes, max_value_len=longest),
                BoundedList.from_seq(limits.max_events, events),
                kind=kind,
                status=status,
                start_time=span.start_ns,
                end_time=span.end_ns,
                instrumentation_scope=self.scope,
            )
        )


def trace_headers(context: RequestContext) -> dict[str, str]:
    """The W3C headers of the trace in this context."""
    record = context.record
    headers = {
        "traceparent": format_traceparent(record.trace_id, context.span_id, sampled=record.sampled)
    }
    if record.parent is not None and record.parent.state:
        headers["tracestate"] = record.parent.state
    return headers


def _context(parent: Parent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=parent.remote,
        trace_flags=_SAMPLED if parent.sampled else None,
        trace_state=TraceState.from_header([parent.state]) if parent.state else None,
    )
