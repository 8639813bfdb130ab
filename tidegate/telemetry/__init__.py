"""`instrument(app)`: each request of a FastAPI or Starlette app leaves an event, spans and metrics."""

from tidegate.telemetry.instrumentation import Telemetry, instrument
from tidegate.telemetry.logs import get_logger
from tidegate.telemetry.metrics import duration_edges
from tidegate.telemetry.request_record import (
    annotate,
    current_ids,
    fail,
    outgoing_headers,
    request_ids,
    span,
)

__all__ = [
    "Telemetry",
    "annotate",
    "current_ids",
    "duration_edges",
    "fail",
    "get_logger",
    "instrument",
    "outgoing_headers",
    "request_ids",
    "span",
]
