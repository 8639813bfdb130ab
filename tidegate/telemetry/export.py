"""Where finished spans go: to event lines, and to an OTLP endpoint if one is named."""

# mypy: allow-untyped-calls
# The SDK types few of its `shutdown` methods.
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from tidegate.events.event import Origin, make_event, timestamp
from tidegate.events.writer import EventWriter
from tidegate.telemetry.event_lines import STACK_CHARACTERS, milliseconds


class EventSpanExporter(SpanExporter):
    """Writes each span as an event line."""

    def __init__(self, writer: EventWriter, origin: Callable[[], Origin]) -> None:
        self._writer = writer
        self._origin = origin

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write the spans at once: what a killed process had finished is not lost."""
        for span in spans:
            self._writer.write(span_event(self._origin(), span))
        return SpanExportResult.SUCCESS


def span_event(origin: Origin, span: ReadableSpan) -> dict[str, Any]:
    """The event of a finished span."""
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    context = span.get_span_context()
    if context is None:  # the SDK's type allows it; its spans all have one
        raise ValueError(f"the span {span.name} has no context")
    failed = span.status.status_code is StatusCode.ERROR
    trace_id, span_id = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    fields: dict[str, Any] = {
        "trace": {"id": trace_id},
        "span": {"id": span_id, "name": span.name, "kind": span.kind.name.lower()},
        "event": {
            "start": timestamp(start_ns),
            "duration": end_ns - start_ns,
            "outcome": "failure" if failed else "success",
        },
        "tidegate": {"attributes": dict(span.attributes or {})},
    }
    if span.parent is not None:
        fields["parent"] = {"id": f"{span.parent.span_id:016x}"}
    if error := _error(span):
        fields["error"] = error
    return make_event(
        origin,
        "span",
        f"{span.name} in {milliseconds(end_ns - start_ns)}",
        unix_ns=end_ns,
        level="error" if failed else "info",
        stream="traces",
        event_id=trace_id + span_id,
        fields=fields,
    )


def _error(span: ReadableSpan) -> dict[str, str]:
    for event in reversed(span.events):
        if event.name == "exception":
            held = event.attributes or {}
            return {
                "type": str(held.get("exception.type", "")),
                "message": str(held.get("exception.message", "")),
                "stack_trace": str(held.get("exception.stacktrace", ""))[-STACK_CHARACTERS:],
            }
    if span.status.status_code is StatusCode.ERROR and span.status.description:
        return {"message": span.status.description}
    return {}


# The SDK logs each failed batch, each retry and each dropped span. While one of ours is under way in a
# thread, that thread's lines are dropped: `OtlpExporter` says it once per change instead.
_under_way = threading.local()
_SDK_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)


def _is_ours_to_say(record: logging.LogRecord) -> bool:
    del record
    return not getattr(_under_way, "depth", 0)


@contextmanager
def _quietly() -> Iterator[None]:
    _under_way.depth = getattr(_under_way, "depth", 0) + 1
    try:
        yield
    finally:
        _under_way.depth -= 1


class OtlpExporter(SpanExporter):
    """Sends spans by OTLP (http/protobuf, all of it set by `OTEL_EXPORTER_OTLP_*`).

    An endpoint that does not answer is reported once, and once more when it is back.
    """

    def __init__(self, report: Callable[[bool], None]) -> None:
        for name in _SDK_LOGGERS:
            logging.getLogger(name).addFilter(_is_ours_to_say)  # a second time changes nothing
        self._inner = OTLPSpanExporter()
        self._report = report
        self.down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans; runs in the batch processor's own thread, retries included."""
        with _quietly():
            result = self._inner.export(spans)
        down = result is not SpanExportResult.SUCCESS
        if down != self.down:
            self.down = down
            self._report(down)
        return result

    def give_up(self) -> None:
        """Treat the endpoint as dead from now on: nothing waits for it any more."""
        self.down = True

    def shutdown(self) -> None:
        """Stop, in the middle of a retry too."""
        with _quietly():
            self._inner.shutdown()


class OtlpProcessor(BatchSpanProcessor):
    """Hands spans to a thread that sends them; a full queue drops spans, never holds a request up."""

    def __init__(self, exporter: OtlpExporter) -> None:
        super().__init__(exporter)
        self._otlp = exporter

    def flush_within(self, seconds: float) -> None:
        """Send what is queued, and wait for it so long; the SDK's own flush keeps no limit."""
        flush = threading.Thread(target=self.force_flush, daemon=True)
        flush.start()
        flush.join(seconds)
        if flush.is_alive():
            self._otlp.give_up()

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span."""
        with _quietly():
            super().on_end(span)

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Send what is queued, unless the endpoint is known not to answer."""
        if self._otlp.down:
            return False
        with _quietly():
            return super().force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Send what is queued and stop; with a dead endpoint, stop at once."""
        with _quietly():
            if self._otlp.down:
                self._otlp.shutdown()
            super().shutdown()
