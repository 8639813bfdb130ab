"""The name and attributes of a SERVER span, by the functions of OpenTelemetry's ASGI instrumentation.

So native spans equal those of the instrumentation in each of its versions, and follow its variable
`OTEL_SEMCONV_STABILITY_OPT_IN`; without it both have the stable names. The
functions that select the names are private, hence the private imports. A test compares the spans of both.
"""

# mypy: allow-untyped-calls
# The package has types for few of its functions.
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.instrumentation._semconv import (
    _get_schema_url,
    _OpenTelemetrySemanticConventionStability,
    _OpenTelemetryStabilitySignalType,
    _StabilityMode,
)
from opentelemetry.instrumentation.asgi import collect_request_attributes, set_status_code
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
)
from opentelemetry.util.http import sanitize_method

_SELECTED: Final[Any] = _OpenTelemetrySemanticConventionStability
_HTTP: Final = _OpenTelemetryStabilitySignalType.HTTP


def conventions() -> Any:
    """The semantic conventions that the variable selects; the stable ones without it."""
    if not os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").strip():
        return _StabilityMode.HTTP
    _SELECTED._initialize()  # noqa: SLF001 - see the docstring of the module
    return _SELECTED._get_opentelemetry_stability_opt_in_mode(_HTTP)  # noqa: SLF001


def select_conventions() -> None:
    """Let instrumentations use these, though they read the variable once in a process, and maybe before."""
    _SELECTED._initialize()  # noqa: SLF001
    _SELECTED._OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING[_HTTP] = conventions()  # noqa: SLF001


def schema_url(mode: Any) -> str:
    """The schema of these conventions."""
    return str(_get_schema_url(mode))


def known_method(method: str) -> str:
    """The method, or `_OTHER` for an unknown one, so that clients cannot create time series."""
    return sanitize_method(method.strip())


def span_name(scope: Mapping[str, Any], route: str) -> str:
    """The name of a SERVER span: the method and the route, if it is known."""
    method = known_method(scope.get("method", ""))
    if method == "_OTHER":
        method = "HTTP"
    return f"{method} {route}" if route else method


def server_attributes(
    mode: Any, scope: Mapping[str, Any], route: str, status: int | None
) -> tuple[dict[str, Any], Status]:
    """The attributes of a SERVER span, and its status."""
    attributes: dict[str, Any] = collect_request_attributes(scope, mode)
    if route:
        attributes["http.route"] = route
    answered = _Answered(INVALID_SPAN_CONTEXT)
    if status is not None:
        set_status_code(answered, status, None, mode)
    return attributes | answered.attributes, answered.status


class _Answered(NonRecordingSpan):
    """Holds what the instrumentation sets on the span of a request that is answered."""

    def __init__(self, context: SpanContext) -> None:
        super().__init__(context)
        self.attributes: dict[str, Any] = {}
        self.status = Status()

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.status = status if isinstance(status, Status) else Status(status, description)
