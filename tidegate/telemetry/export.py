"""Export of finished spans: as events, and to an OTLP endpoint if one is configured."""

# mypy: allow-untyped-calls
# The SDK has few types for its `shutdown` methods.
from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode

from tidegate.events.event import Event, Origin, encode, make_event, timestamp
from tidegate.events.writer import EventWriter
from tidegate.telemetry.request_event import STACK_CHARACTERS, milliseconds

PRIVATE: Final = frozenset(
    {
        *("http.url", "url.full", "url.query", "http.server_name"),
        *("http.user_agent", "user_agent.original", "user_agent.synthetic.type"),
        *("http.client_ip", "client.address", "client.port"),
        *(
            "net.peer.ip",
            "net.peer.name",
            "net.peer.port",
            "net.sock.peer.addr",
            "net.sock.peer.port",
        ),
        *("network.peer.address", "network.peer.port"),
    }
)
"""Attributes of a served request with its query string, its headers or its client's address, in each version
of OpenTelemetry's semantic conventions. SECURITY.md says that none is stored."""
_PATHS: Final = frozenset({"http.target", "url.path"})
_MAX_CACHED: Final = 256
"""Characters of a name."""


class PublicSpans(SynchronousMultiSpanProcessor):
    """Writes each kept span as an event, at its end, so that a killed process loses no finished span.

    In every tracing mode without what identifies a client or may be secret. Processors that are added get the
    same spans.
    """

    def __init__(self, writer: EventWriter, origin: Callable[[], Origin]) -> None:
        super().__init__()
        self._writer = writer
        self._origin = origin

    def on_end(self, span: ReadableSpan) -> None:
        """Write a finished span."""
        self.end((public_span(span),))

    def end(self, spans: Iterable[ReadableSpan]) -> None:
        """Write finished spans, which are public, with a single write."""
        lines = []
        for span in spans:
            if span.context is not None and span.context.trace_flags.sampled:
                try:
                    lines.append(span_line(self._origin(), span))
                except Exception:  # telemetry must not break a request
                    logging.getLogger(__name__).exception("cannot write the span %s", span.name)
            super().on_end(span)
        self._writer.write_encoded(*lines)


def public_span(span: ReadableSpan) -> ReadableSpan:
    """The span without `PRIVATE` attributes, and with the route, if it is known, in the place of the path."""
    attributes = span.attributes or {}
    if PRIVATE.isdisjoint(attributes) and _PATHS.isdisjoint(attributes):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=public_attributes(attributes),
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def public_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a span that are public; see `public_span`."""
    kept = {name: value for name, value in attributes.items() if name not in PRIVATE}
    for name in _PATHS & kept.keys():
        kept[name] = kept.get("http.route") or str(kept[name]).partition("?")[0]
    return kept


def span_line(origin: Origin, span: ReadableSpan) -> bytes:
    """The line of the event of a finished span."""
    start_ns, end_ns = span.start_time or 0, span.end_time or 0
    context = span.get_span_context()
    assert context is not None  # noqa: S101 (possible by its type only)
    trace_id, span_id = context.trace_id.to_bytes(16).hex(), context.span_id.to_bytes(8).hex()
    failed = span.status.status_code is StatusCode.ERROR
    find = _constant if len(span.name) <= _MAX_CACHED else _constant.__wrapped__
    constant = find(origin, span.name, span.kind, failed)
    event: Event = {
        **constant,
        "@timestamp": timestamp(end_ns),
        "message": f"{span.name} in {milliseconds(end_ns - start_ns)}",
        "event": {
            **constant["event"],
            "id": trace_id + span_id,
            "start": timestamp(start_ns),
            "duration": end_ns - start_ns,
        },
        "trace": {"id": trace_id},
        "span": {**constant["span"], "id": span_id},
        "tidegate": {"attributes": dict(span.attributes or {})},
    }
    if span.parent is not None:
        event["parent"] = {"id": span.parent.span_id.to_bytes(8).hex()}
    if error := _error(span):
        event["error"] = error
    return encode(event)


@lru_cache(maxsize=256)
def _constant(origin: Origin, name: str, kind: SpanKind, failed: bool) -> Event:
    """What the events of such spans have in common."""
    outcome = "failure" if failed else "success"
    fields = {"span": {"name": name, "kind": kind.name.lower()}, "event": {"outcome": outcome}}
    return make_event(
        origin,
        "span",
        "",
        unix_ns=0,
        level="error" if failed else "info",
        stream="traces",
        fields=fields,
    )


def _error(span: ReadableSpan) -> dict[str, str]:
    for event in reversed(span.events):
        if event.name == "exception":
            attributes = event.attributes or {}
            return {
                "type": str(attributes.get("exception.type", "")),
                "message": str(attributes.get("exception.message", "")),
                "stack_trace": str(attributes.get("exception.stacktrace", ""))[-STACK_CHARACTERS:],
            }
    if span.status.status_code is StatusCode.ERROR and span.status.description:
        return {"message": span.status.description}
    return {}


# The SDK logs each failed batch, each retry and each dropped span; `OtlpExporter` reports each change of
# state once instead.
_SDK_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_exporting: Final = ContextVar("tidegate_exporting", default=False)


def _is_of_others(record: logging.LogRecord) -> bool:
    """Whether a record of the SDK is about an exporter of the application's own."""
    del record
    return not _exporting.get()


@contextmanager
def _without_logs() -> Iterator[None]:
    token = _exporting.set(True)
    try:
        yield
    finally:
        _exporting.reset(token)


class OtlpExporter(SpanExporter):
    """Exports spans by OTLP (http/protobuf), configured by `OTEL_EXPORTER_OTLP_*`.

    It reports when the endpoint becomes unavailable and when it recovers, once each.
    """

    def __init__(self, report: Callable[[bool], None]) -> None:
        # With protobuf it is a sixteenth of all that a replica imports, and most need no exporter.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )

        for name in _SDK_LOGGERS:
            logging.getLogger(name).addFilter(_is_of_others)  # adding it again has no effect
        self._inner = OTLPSpanExporter()
        self._report = report
        self.down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export the spans, with retries; runs in the thread of the batch processor."""
        with _without_logs():
            result = self._inner.export(spans)
        down = result is not SpanExportResult.SUCCESS
        if down != self.down:
            self.down = down
            self._report(down)
        return result

    def mark_down(self) -> None:
        """Treat the endpoint as unavailable, so that nothing waits for it."""
        self.down = True

    def shutdown(self) -> None:
        """Stop, also during a retry."""
        with _without_logs():
            self._inner.shutdown()


class OtlpProcessor(BatchSpanProcessor):
    """Queues spans for a thread that exports them. A full queue drops spans; it never delays a request."""

    def __init__(self, exporter: OtlpExporter) -> None:
        super().__init__(exporter)
        self._otlp = exporter

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a finished span."""
        with _without_logs():
            super().on_end(span)

    def flush_within(self, seconds: float) -> None:
        """Export the queued spans within `seconds`; the SDK's own flush ignores its time limit."""
        flush = threading.Thread(target=self.force_flush, daemon=True)
        flush.start()
        flush.join(seconds)
        if flush.is_alive():
            self._otlp.mark_down()

    def force_flush(self, timeout_millis: int | None = None) -> bool:
        """Export the queued spans, unless the endpoint is unavailable."""
        return not self._otlp.down and super().force_flush(timeout_millis)

    def shutdown(self) -> None:
        """Export the queued spans and stop; stop immediately if the endpoint is unavailable."""
        if self._otlp.down:
            self._otlp.shutdown()
        super().shutdown()
