"""`instrument(app)`: an event, spans and metrics for each request of a FastAPI or Starlette application."""

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
