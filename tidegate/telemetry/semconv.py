"""The name and attributes of a SERVER span, by the functions of OpenTelemetry's ASGI instrumentation.

So native spans equal those of the instrumentation in each of its versions, and follow its variables
(`OTEL_SEMCONV_STABILITY_OPT_IN`, `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*`,
`OTEL_PYTHON_EXCLUDED_URLS`). The functions that select the names are private, hence the private imports. A
test compares the spans of both.
"""

# mypy: allow-untyped-calls
# The package has types for few of its functions.
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.instrumentation._semconv import (
    _get_schema_url,
    _OpenTelemetrySemanticConventionStability,
    _OpenTelemetryStabilitySignalType,
)
from opentelemetry.instrumentation.asgi import (
    collect_custom_headers_attributes,
    collect_request_attributes,
    get_host_port_url_tuple,
    set_status_code,
)
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    SpanContext,
    Status,
    StatusCode,
)
from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    ExcludeList,
    SanitizeValue,
    get_custom_headers,
    get_excluded_urls,
    normalise_request_header_name,
    normalise_response_header_name,
    sanitize_method,
)


def _mode() -> Any:
    _OpenTelemetrySemanticConventionStability._initialize()  # noqa: SLF001 - see the docstring of the module
    return _OpenTelemetrySemanticConventionStability._get_opentelemetry_stability_opt_in_mode(  # noqa: SLF001
        _OpenTelemetryStabilitySignalType.HTTP
    )


def known_method(method: str) -> str:
    """The method, or `_OTHER` for an unknown one, so that clients cannot create time series."""
    return sanitize_method(method.strip())


@dataclass(slots=True)
class ServerSpans:
    """Names and attributes of SERVER spans, by the semantic conventions selected at the start."""

    mode: Any = field(default_factory=_mode)
    excluded: ExcludeList = field(default_factory=lambda: get_excluded_urls("FASTAPI"))
    excludes_any: bool = field(
        default_factory=lambda: bool(
            os.environ.get("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS")
            or os.environ.get("OTEL_PYTHON_EXCLUDED_URLS")
        )
    )
    request_headers: list[str] = field(
        default_factory=lambda: get_custom_headers(
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST
        )
    )
    response_headers: list[str] = field(
        default_factory=lambda: get_custom_headers(
            OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE
        )
    )
    sanitize: SanitizeValue = field(
        default_factory=lambda: SanitizeValue(
            get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS)
        )
    )

    @property
    def schema_url(self) -> str:
        """The schema of the selected conventions."""
        return str(_get_schema_url(self.mode))

    @property
    def captures(self) -> bool:
        """Whether the variables name headers of requests or responses."""
        return bool(self.request_headers or self.response_headers)

    def is_excluded(self, scope: Mapping[str, Any]) -> bool:
        """Whether the variables exclude this URL from tracing."""
        return self.excludes_any and self.excluded.url_disabled(get_host_port_url_tuple(scope)[2])

    def name_and_attributes(
        self, scope: Mapping[str, Any], route: str
    ) -> tuple[str, dict[str, Any]]:
        """The name of the span, and its attributes except those of the response."""
        method = known_method(scope["method"])
        if method == "_OTHER":
            method = "HTTP"
        attributes: dict[str, Any] = collect_request_attributes(scope, self.mode)
        if route:
            attributes["http.route"] = route
        if self.request_headers:
            attributes.update(
                collect_custom_headers_attributes(
                    dict(scope), self.sanitize, self.request_headers, normalise_request_header_name
                )
            )
        return (f"{method} {route}" if route else method), attributes

    def response(
        self, status: int, headers: Sequence[tuple[bytes, bytes]]
    ) -> tuple[dict[str, Any], Status]:
        """The attributes of the response, and the span's status."""
        answered = _Answered(INVALID_SPAN_CONTEXT)
        set_status_code(answered, status, None, self.mode)
        if self.response_headers:
            answered.attributes |= collect_custom_headers_attributes(
                {"headers": headers},
                self.sanitize,
                self.response_headers,
                normalise_response_header_name,
            )
        return answered.attributes, answered.status


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
