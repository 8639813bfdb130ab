"""Native tracing: a request records its spans; OpenTelemetry spans are created at its end, if it is sampled.

The ids are generated at the start, so that logs and outgoing headers can contain them. The spans are created
as ended ones, without the SDK's tracer: it takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tidegate.telemetry.export import PublicSpans, public_attributes, public_span
from tidegate.telemetry.gen_ai import GEN_AI, gen_ai_attributes
from tidegate.telemetry.propagation import Parent
from tidegate.telemetry.request_event import error_fields
from tidegate.telemetry.request_record import RequestRecord, SpanRecord, Tracing
from tidegate.telemetry.semconv import conventions, schema_url, server_attributes, span_name

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_ROOT: Final = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_MAX_CACHED: Final = 256
"""Kinds of server spans, and characters of a method and a path: a client may choose longer ones."""


@dataclass(slots=True)
class NativeTracing(Tracing):
    """Records spans, and creates OpenTelemetry spans of the sampled requests.

    Attributes:
        provider: says which resource they are of.
        ended: takes them.
        new_span_id: generates their ids.
    """

    provider: TracerProvider
    ended: PublicSpans
    new_span_id: Callable[[], str]
    mode: Any = field(default_factory=conventions)
    limits: SpanLimits = field(default_factory=SpanLimits)
    scope: InstrumentationScope = field(init=False)
    _server_spans: dict[Any, tuple[str, dict[str, Any], Status]] = field(
        default_factory=dict, init=False
    )

    def __post_init__(self) -> None:
        url = schema_url(self.mode)
        self.scope = InstrumentationScope("tidegate.telemetry", "", url)

    def span(self, record: RequestRecord, name: str, attributes: dict[str, Any]) -> SpanRecord:
        """A recorded child span."""
        return SpanRecord(record, name, self.new_span_id, attributes, record)

    def should_emit(self, record: RequestRecord, *, notable: bool) -> bool:
        """Whether to create the request's spans: if it is sampled, or notable (failed or slow)."""
        return record.sampled or notable

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
        spans = []
        for child in reversed(record.spans):
            child.end_ns = child.end_ns or end_ns
            of = (contexts[child.span_id], contexts.get(child.parent.span_id, server))
            attributes = self._bounded(child.attributes)
            spans.append(public_span(self._ended(child, *of, attributes)))
        name, attributes, status = self._server_span(record, route)
        if GEN_AI in record.fields:
            attributes = {**attributes, **self._bounded(gen_ai_attributes(record.fields))}
        span = self.span(record, name, {})
        span.start_ns, span.end_ns = record.arrived_ns, end_ns
        if isinstance(record.exception, Exception) and not record.aborted:
            span.error = record.exception
        nested = parent is not None and not parent.is_remote
        kind = SpanKind.INTERNAL if nested else SpanKind.SERVER
        spans.append(self._ended(span, server, parent, attributes, kind, status))
        self.ended.end(spans)

    def _server_span(self, record: RequestRecord, route: str) -> tuple[str, dict[str, Any], Status]:
        """The name, the public attributes and the status of a request's span."""
        scope = record.scope
        path = route or scope["path"]
        of = (scope["method"], scope.get("scheme"), scope.get("http_version"))
        key = (*of, *(scope.get("server") or ()), route, path, record.status)
        found = self._server_spans.get(key)
        if found is not None:
            return found
        # What other parts of the scope would add is not public.
        scope = {**scope, "path": path, "headers": ()}
        attributes, status = server_attributes(self.mode, scope, route, record.status)
        public = public_attributes(self._bounded(attributes))
        found = (span_name(scope, route), public, status)
        if len(path) + len(scope["method"]) <= _MAX_CACHED:
            if len(self._server_spans) >= _MAX_CACHED:
                self._server_spans.clear()
            self._server_spans[key] = found
        return found

    def _bounded(self, attributes: dict[str, Any]) -> Mapping[str, Any]:
        """Attributes within the limits of the `OTEL_SPAN_ATTRIBUTE_*` variables."""
        most, longest = self.limits.max_span_attributes, self.limits.max_span_attribute_length
        return BoundedAttributes(most, attributes, max_value_len=longest) if attributes else {}

    def _ended(  # noqa: PLR0917 - those of ReadableSpan
        self,
        span: SpanRecord,
        context: SpanContext,
        parent: SpanContext | None,
        attributes: Mapping[str, Any],
        kind: SpanKind = SpanKind.INTERNAL,
        status: Status = Status(),
    ) -> ReadableSpan:
        """An ended span, within the limits of the `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*` variables."""
        limits = self.limits
        events: Sequence[Event] = ()
        if span.error is not None:
            error = error_fields(span.error)
            recorded = {
                "exception.type": error["type"],
                "exception.message": error["message"],
                "exception.stacktrace": error["stack_trace"],
                "exception.escaped": "False",
            }
            most, longest = limits.max_event_attributes, limits.max_attribute_length
            bounded = BoundedAttributes(most, recorded, max_value_len=longest)
            event = Event("exception", bounded, timestamp=span.end_ns)
            events = BoundedList.from_seq(limits.max_events, [event])
            if status.status_code is StatusCode.UNSET:
                text = f"{type(span.error).__name__}: {error['message']}"
                status = Status(StatusCode.ERROR, text)
        return ReadableSpan(
            span.name,
            context,
            parent,
            self.provider.resource,
            attributes,
            events,
            kind=kind,
            status=status,
            start_time=span.start_ns,
            end_time=span.end_ns,
            instrumentation_scope=self.scope,
        )


def _context(parent: Parent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=parent.remote,
        trace_flags=_SAMPLED if parent.sampled else None,
        trace_state=TraceState.from_header([parent.state]) if parent.state else None,
    )
