"""The tracing mode `opentelemetry`: its own instrumentations of FastAPI and of ASGI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from opentelemetry import propagate, trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util.http import get_excluded_urls

from tidegate.telemetry.app_routes import AppRoutes
from tidegate.telemetry.asgi import ASGIApp, Message, Receive, Scope, Send, layers
from tidegate.telemetry.request_record import (
    Active,
    ActiveSpan,
    RequestRecord,
    Tracing,
    record_of,
)
from tidegate.telemetry.semconv import select_conventions, span_name

if TYPE_CHECKING:
    from starlette.applications import Starlette

SpanDetails: TypeAlias = Callable[[dict[Any, Any]], tuple[str, dict[Any, Any]]]
"""The name of a SERVER span and its attributes, from the scope."""


class _SdkSpan:
    """A span of the SDK, which is the current one inside its block."""

    __slots__ = ("_attributes", "_current", "_name", "_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, name: str, attributes: dict[str, Any]) -> None:
        self._tracer, self._name, self._attributes = tracer, name, attributes

    def __enter__(self) -> Self:
        self._current = self._tracer.start_as_current_span(self._name, attributes=self._attributes)
        self._span = self._current.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._current.__exit__(kind, error, traceback)

    def set(self, **attributes: Any) -> None:
        self._span.set_attributes(attributes)


@dataclass(slots=True)
class InstrumentedTracing(Tracing):
    """Spans of OpenTelemetry's instrumentations, which end as the request proceeds."""

    provider: TracerProvider
    tracer: trace.Tracer

    @classmethod
    def of(cls, provider: TracerProvider) -> InstrumentedTracing:
        """The tracing with this provider."""
        select_conventions()
        return cls(provider, provider.get_tracer("tidegate.telemetry"))

    def instrument(self, app: Starlette) -> None:
        """Instrument a FastAPI or Starlette application, before the telemetry middleware wraps it.

        Raises:
            RuntimeError: FastAPI, which the instrumentation imports, is not installed.
        """
        try:
            from opentelemetry.instrumentation.fastapi import (  # noqa: PLC0415 - needs FastAPI
                FastAPIInstrumentor,
            )
        except ImportError as error:
            raise RuntimeError(
                f"telemetry.tracing = 'opentelemetry' needs FastAPI ({error}); 'native' does not"
            ) from error
        # It accepts any Starlette application, despite its signature.
        FastAPIInstrumentor.instrument_app(
            app,  # type: ignore[arg-type]
            server_request_hook=_copy_ids,
            tracer_provider=self.provider,
        )
        build, routes = app.build_middleware_stack, AppRoutes(app)

        def build_with_names() -> ASGIApp:
            stack: ASGIApp = build()
            for layer in layers(stack):
                if isinstance(layer, OpenTelemetryMiddleware):
                    layer.default_span_details = _named_by_route(layer.default_span_details, routes)
                    break  # one further inside is the application's own
            return stack

        app.build_middleware_stack = build_with_names  # type: ignore[method-assign]

    def wrap(self, app: ASGIApp, routes: AppRoutes) -> ASGIApp:
        """An application of any framework in OpenTelemetry's ASGI middleware.

        By itself that names spans by the path of the request; here they are named by the route.
        """

        def name(scope: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
            return _details(scope, routes.find_early(scope).top)

        async def routed(scope: Scope, receive: Receive, send: Send) -> None:
            server_span = trace.get_current_span()

            async def naming_send(message: Message) -> None:
                # The framework has left the route; the span ends with the last part of the body.
                if message["type"] == "http.response.start":
                    _name_span(server_span, record_of(scope))
                await send(message)

            await app(scope, receive, naming_send)

        wrapped: ASGIApp = OpenTelemetryMiddleware(
            routed,
            excluded_urls=get_excluded_urls("ASGI"),
            default_span_details=name,
            server_request_hook=_copy_ids,
            tracer_provider=self.provider,
        )
        return wrapped

    def span(
        self, record: RequestRecord, name: str, attributes: dict[str, Any]
    ) -> AbstractContextManager[ActiveSpan]:
        """A span of the SDK."""
        return _SdkSpan(self.tracer, name, attributes)

    def current_span_id(self, active: Active) -> str:
        """The id of OpenTelemetry's current span; if there is none, that of the request."""
        current = trace.get_current_span().get_span_context()
        return f"{current.span_id:016x}" if current.is_valid else active.span_id

    def outgoing_headers(self, active: Active) -> dict[str, str]:
        """The headers of the propagators that `OTEL_PROPAGATORS` names."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers or Tracing.outgoing_headers(self, active)

    def should_emit(self, record: RequestRecord, *, notable: bool) -> bool:
        """The decision of the SDK's sampler at the start; there is no second decision at the end."""
        return record.sampled


def _named_by_route(details: SpanDetails, routes: AppRoutes) -> SpanDetails:
    """The instrumentation's names of spans, without the path of the request.

    It takes that path for the route of a `Host` in Starlette, and finds no route below one in FastAPI.
    """

    def named(scope: dict[Any, Any]) -> tuple[str, dict[Any, Any]]:
        name, attributes = details(scope)
        route = attributes.get("http.route")
        if route and routes.defines(route):
            return name, attributes
        return _details(scope, routes.find_early(scope).top)

    return named


def _details(scope: Mapping[str, Any], route: str) -> tuple[str, dict[str, Any]]:
    """The name of a SERVER span and its attributes."""
    return span_name(scope, route), {"http.route": route} if route else {}


def _name_span(span: trace.Span, record: RequestRecord | None) -> None:
    if record is None:
        return
    name, attributes = _details(record.scope, record.find_route().top)
    span.update_name(name)
    span.set_attributes(attributes)


def _copy_ids(span: trace.Span, scope: Mapping[str, Any]) -> None:
    """Copy the ids of the span that the instrumentation started to the request's record."""
    record = record_of(scope)
    context = span.get_span_context()
    if record is not None and context.is_valid:
        record.trace_id = f"{context.trace_id:032x}"
        record.span_id = f"{context.span_id:016x}"
        record.sampled = context.trace_flags.sampled
