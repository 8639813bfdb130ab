"""An event, spans and metrics for each request of an ASGI application."""

from tidegate.monitoring.feedback.outcomes import OutcomeRefusedError
from tidegate.telemetry.instrumentation import instrument, telemetry_of
from tidegate.telemetry.logs import get_logger
from tidegate.telemetry.metrics import duration_edges
from tidegate.telemetry.middleware import TelemetryMiddleware
from tidegate.telemetry.request_record import (
    annotate,
    current_ids,
    fail,
    outgoing_headers,
    request_ids,
    set_route,
    span,
)
from tidegate.telemetry.telemetry import Telemetry

__all__ = [
    "OutcomeRefusedError",
    "Telemetry",
    "TelemetryMiddleware",
    "annotate",
    "current_ids",
    "duration_edges",
    "fail",
    "get_logger",
    "instrument",
    "outgoing_headers",
    "request_ids",
    "set_route",
    "span",
    "telemetry_of",
]
