"""The other ways of tracing: OpenTelemetry's FastAPI instrumentation as its makers ship it, and off."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from starlette.applications import Starlette

from tidegate.telemetry.native import trace_headers
from tidegate.telemetry.request_record import (
    NO_SPAN,
    ActiveSpan,
    Position,
    RequestRecord,
    record_of,
)


class _RealSpan:
    """A span of the SDK's, current while it runs."""

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
class InstrumentedTracing:
    """Spans by opentelemetry-instrumentation-fastapi; each one ends when its part of the request does."""

    provider: TracerProvider
    tracer: trace.Tracer

    @classmethod
    def install(cls, app: Starlette, provider: TracerProvider) -> InstrumentedTracing:
        """Instrument the app, before the telemetry middleware is put around it.

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
        # It takes any Starlette application, whatever its signature says.
        FastAPIInstrumentor.instrument_app(
            app,  # type: ignore[arg-type]
            server_request_hook=_take_ids,
            tracer_provider=provider,
        )
        return cls(provider, provider.get_tracer("tidegate.telemetry"))

    def span(
        self, record: RequestRecord, name: str, attributes: dict[str, Any]
    ) -> AbstractContextManager[ActiveSpan]:
        """Start a real span."""
        return _RealSpan(self.tracer, name, attributes)

    def current_span_id(self, position: Position) -> str:
        """The id of OpenTelemetry's current span, else the request's."""
        context = trace.get_current_span().get_span_context()
        return f"{context.span_id:016x}" if context.is_valid else position.span_id

    def outgoing_headers(self, position: Position) -> dict[str, str]:
        """What the propagators that `OTEL_PROPAGATORS` names put in."""
        headers: dict[str, str] = {}
        propagate.inject(headers)
        return headers or trace_headers(position)

    def keeps(self, record: RequestRecord, *, notable: bool) -> bool:
        """As the SDK's sampler decided at the start; there is no second decision at the end."""
        return record.sampled

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None:
        """Nothing is left to do: the instrumentation made the spans."""


@dataclass(frozen=True, slots=True)
class NoTracing:
    """No spans; ids are still made, so that log lines of one request are found together."""

    def span(
        self, record: RequestRecord, name: str, attributes: dict[str, Any]
    ) -> AbstractContextManager[ActiveSpan]:
        """Nothing is measured."""
        return NO_SPAN

    def current_span_id(self, position: Position) -> str:
        """The request's."""
        return position.span_id

    def outgoing_headers(self, position: Position) -> dict[str, str]:
        """The request's ids."""
        return trace_headers(position)

    def keeps(self, record: RequestRecord, *, notable: bool) -> bool:
        """Never."""
        return False

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None:
        """Nothing is kept."""


def _take_ids(span: trace.Span, scope: Mapping[str, Any]) -> None:
    """The request's record takes the ids of the span that the instrumentation started for it."""
    record = record_of(scope)
    context = span.get_span_context()
    if record is not None and context.is_valid:
        record.trace_id = f"{context.trace_id:032x}"
        record.span_id = f"{context.span_id:016x}"
        record.sampled = context.trace_flags.sampled
