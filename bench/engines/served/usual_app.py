"""The same application with what people usually add: traces, metrics and an access log, by three packages.

OpenTelemetry's instrumentation of FastAPI with a batch processor, whose exporter encodes the spans and drops
them; a histogram of prometheus_client by route, method and status, as prometheus-fastapi-instrumentator has
it; and a line of JSON a request by structlog, in a middleware. There is no store, and nothing sends anything.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import structlog
from fastapi import Request, Response
from fastapi_app import build_app
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from prometheus_client import Counter, Histogram, make_asgi_app


class Encoded(SpanExporter):
    """Encodes spans as OTLP does, and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Encode a batch."""
        encode_spans(spans).SerializeToString()
        return SpanExportResult.SUCCESS


structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.JSONRenderer(),
    ],
    # Open as long as the process runs.
    logger_factory=structlog.WriteLoggerFactory(Path("access.log").open("w", encoding="utf-8")),  # noqa: SIM115
    cache_logger_on_first_use=True,
)
log = structlog.get_logger()
LABELS = ("handler", "method", "status")
seconds = Histogram("http_request_duration_seconds", "Time of a request.", LABELS)
requests = Counter("http_requests", "Requests.", LABELS)

app = build_app()
app.mount("/metrics", make_asgi_app())


@app.middleware("http")
async def observe(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Count a request, and log it."""
    began = time.perf_counter()
    response = await call_next(request)
    took = time.perf_counter() - began
    labels = (request.scope["route"].path, request.method, str(response.status_code))
    seconds.labels(*labels).observe(took)
    requests.labels(*labels).inc()
    span = trace.get_current_span().get_span_context()
    log.info(
        "request",
        method=request.method,
        path=request.url.path,
        status=response.status_code,
        duration=took,
        client=request.client.host if request.client else "",
        trace_id=f"{span.trace_id:032x}",
    )
    return response


provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Encoded()))
FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
