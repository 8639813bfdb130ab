"""`instrument(app)`: the middleware, spans, metrics and logs of one application."""

from __future__ import annotations

import inspect
import logging
import os
import weakref
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol

from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.os_errors import os_error_message
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings, SettingsError, load
from tidegate.telemetry.export import OtlpProcessor
from tidegate.telemetry.identity import Identity, with_app_name
from tidegate.telemetry.logs import (
    EventSink,
    close_sink,
    install_log_handlers,
    open_sink,
    remove_log_handlers,
)
from tidegate.telemetry.metrics import RequestMetrics
from tidegate.telemetry.middleware import TelemetryMiddleware
from tidegate.telemetry.native_tracing import NativeTracing, PresetIds
from tidegate.telemetry.otel_tracing import InstrumentedTracing, NoTracing
from tidegate.telemetry.propagation import Parent, read_headers
from tidegate.telemetry.request_event import request_event
from tidegate.telemetry.request_record import Clock, RequestRecord, Tracing, record_of
from tidegate.telemetry.routes import RouteFinder, route_path
from tidegate.telemetry.sampling import CallerLimit, Sampler, read_environment
from tidegate.telemetry.semconv import known_method
from tidegate.telemetry.tracer_provider import make_otlp, make_provider

FLUSH_SECONDS: Final = 3.0
"""How long the shutdown of an application waits for the export of spans by OTLP."""

_LOGGER: Final = "tidegate.telemetry"
_INSTRUMENTED: Final = "tidegate_telemetry"
_COMMON_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_NO_SUPPRESSION: Final = nullcontext()


class _Backend(Tracing, Protocol):
    """A tracing mode, as `Telemetry` uses it."""

    def should_emit(self, record: RequestRecord, *, notable: bool) -> bool: ...

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None: ...


def instrument(
    app: Starlette, settings: Settings | None = None, *, origin: Origin | None = None
) -> Telemetry:
    """Instrument a FastAPI or Starlette application: an event, spans and metrics for each request.

    It adds the route `/metrics` and the outermost middleware. Call it once, before the application starts.

    Args:
        app: the application.
        settings: the settings. By default they are read from tidegate.toml and the environment; if
            `service.name` is not set there, it is the application's title or the name of the calling module.
        origin: the `service.*` fields of the events; by default from the settings and the application's
            version.

    Returns:
        The application's telemetry. Register further metrics in its `registry`.

    Raises:
        SettingsError: a setting is invalid, or the folder of event files cannot be created.
        RuntimeError: the application is already instrumented, or has started.
        TypeError: it is neither a FastAPI nor a Starlette application.
    """
    if settings is None:
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        settings = with_app_name(load(), app, caller.f_globals if caller else {})
    return Telemetry(app, settings, origin)


class Telemetry:
    """The telemetry of one instrumented application. Two applications share nothing.

    Attributes:
        settings: its settings.
        writer: writes its events.
    """

    def __init__(
        self,
        app: Starlette,
        settings: Settings,
        origin: Origin | None = None,
        *,
        clock: Clock | None = None,
        ids: IdGenerator | None = None,
    ) -> None:
        _check(app)
        self.settings = settings
        self._identity = Identity.of(settings, str(getattr(app, "version", "") or "0"), origin)
        self.writer = writer = _open_writer(settings, self._identity.origin.node)
        self._identity.follow_forks(writer)
        self._clock = clock or Clock()
        self._ids = ids or RandomIdGenerator()
        self._metrics = RequestMetrics(settings.slo.latency_seconds, lambda: writer.lost)
        identity = self._identity
        self._sink = EventSink(writer, lambda: identity.origin, self._clock)
        self._routes = RouteFinder(app)
        self._quiet_paths = frozenset(settings.telemetry.quiet_paths)
        self._slow_ns = int(settings.slow_seconds * 1e9)
        self._error_logged = False
        environment = read_environment(os.environ, settings.telemetry.sample_ratio)
        self._sampler = Sampler(
            environment.head, CallerLimit(settings.telemetry.caller_traces_per_second)
        )
        self._tracing: _Backend = NoTracing()
        self._provider: TracerProvider | None = None
        self._otlp: OtlpProcessor | None = None
        if not environment.disabled:
            self._set_up_tracing(app, otlp=environment.otlp)
        self._samples = isinstance(self._tracing, NativeTracing)
        self._install(app)
        self.open()
        for problem in environment.problems:
            logging.getLogger(_LOGGER).warning("%s", problem)

    @property
    def registry(self) -> CollectorRegistry:
        """The registry of the metrics at `/metrics`."""
        return self._metrics.registry

    @property
    def origin(self) -> Origin:
        """The `service.*` fields of the events."""
        return self._identity.origin

    def open(self) -> None:
        """Receive log records from outside requests. Call it again when the application restarts."""
        open_sink(self._sink)
        install_log_handlers()

    def close(self) -> None:
        """Export queued spans for at most `FLUSH_SECONDS`, and close the event file.

        If the application is used again, its events go to a new file.
        """
        if self._otlp is not None:
            self._otlp.flush_within(FLUSH_SECONDS)
        close_sink(self._sink)
        remove_log_handlers()
        self.writer.close()

    def begin(self, scope: Any) -> RequestRecord:
        """The record of a request that has just arrived."""
        started_ns = self._clock.monotonic_ns()
        received_ns = self._clock.wall_ns()
        incoming = read_headers(scope["headers"], received_ns)
        parent, arrived_ns = incoming.parent, incoming.arrived_ns
        outer = record_of(scope)
        if (
            outer is not None
        ):  # mounted in another instrumented application, which has read the headers
            parent = Parent(outer.trace_id, outer.span_id, outer.sampled, remote=False)
            arrived_ns = None
        trace_id = parent.trace_id if parent else f"{self._ids.generate_trace_id():032x}"
        span_id = self._new_span_id()
        return RequestRecord(
            tracing=self._tracing,
            sink=self._sink,
            clock=self._clock,
            scope=scope,
            method=scope["method"],
            path=scope["path"],
            root_path=scope.get("root_path", ""),
            trace_id=trace_id,
            span_id=span_id,
            parent=parent,
            sampled=self._samples
            and self._sampler.should_sample(trace_id, parent, span_id, started_ns),
            quiet=route_path(scope) in self._quiet_paths,
            received_ns=received_ns,
            arrived_ns=received_ns if arrived_ns is None else arrived_ns,
            started_ns=started_ns,
        )

    def serving_context(self, record: RequestRecord) -> AbstractContextManager[None]:
        """The context in which a request is served; it suppresses the spans of a quiet one."""
        return suppress_http_instrumentation() if record.quiet else _NO_SUPPRESSION

    def finish(self, record: RequestRecord) -> None:
        """Write the request's event, metrics and spans. Never raises: telemetry must not break a request."""
        record.finished = True
        try:
            if not record.quiet:
                self._write(record)
        except Exception:
            if not self._error_logged:  # log once: it may fail for each request
                self._error_logged = True
                logging.getLogger(_LOGGER).exception("cannot record a request")
        finally:
            # Break the reference cycles through tracebacks, so that the record is freed immediately and
            # not by the garbage collector.
            record.exception = None
            for child in record.spans:
                child.error = None
            record.spans.clear()

    def is_sampled(self, record: RequestRecord) -> bool:
        """Whether the request's spans will be emitted, as far as is known now."""
        notable = record.failed or record.now_ns() - record.arrived_ns >= self._slow_ns
        return not record.quiet and self._tracing.should_emit(record, notable=notable)

    def _write(self, record: RequestRecord) -> None:
        end_ns = record.now_ns()
        duration_ns = end_ns - record.arrived_ns
        sampled = self._tracing.should_emit(
            record, notable=record.failed or duration_ns >= self._slow_ns
        )
        route = self._routes.find(record.scope, record.root_path)
        method = record.method if record.method in _COMMON_METHODS else known_method(record.method)
        exemplar = {"trace_id": record.trace_id, "span_id": record.span_id} if sampled else None
        self._metrics.observe(route.full, method, record.status, duration_ns / 1e9, exemplar)
        self.writer.write(request_event(self.origin, record, route.full, end_ns))
        if sampled:
            self._tracing.emit(record, route.top, end_ns)

    def _new_span_id(self) -> str:
        return f"{self._ids.generate_span_id():016x}"

    def _set_up_tracing(self, app: Starlette, *, otlp: bool) -> None:
        mode = self.settings.telemetry.tracing
        if mode == "off":
            return
        preset = PresetIds()
        sink = self._sink

        def report(down: bool) -> None:
            if down:
                text = "the OTLP endpoint is unavailable; spans are dropped until it recovers"
                sink.write(_LOGGER, "warn", text)
            else:
                sink.write(_LOGGER, "info", "the OTLP endpoint accepts spans again")

        self._otlp = make_otlp(report) if otlp else None
        self._provider = make_provider(
            self._identity,
            self.writer,
            sampler=ALWAYS_ON if mode == "native" else None,
            ids=preset if mode == "native" else self._ids,
            otlp=self._otlp,
        )
        # At the end of the process or of this object.
        weakref.finalize(self, self._provider.shutdown)
        if mode == "native":
            self._tracing = NativeTracing(self._provider, preset, self._new_span_id)
        else:
            self._tracing = InstrumentedTracing.install(app, self._provider)

    def _install(self, app: Starlette) -> None:
        # First, so that no catch-all route or mount at "/" of the application hides it.
        metrics = Route("/metrics", self._metrics.expose, include_in_schema=False)
        app.router.routes.insert(0, metrics)
        build = app.build_middleware_stack

        def build_with_telemetry() -> ASGIApp:
            # Outermost, so that it sees the response to an unhandled exception; a middleware added by
            # `add_middleware` does not.
            return TelemetryMiddleware(build(), self)

        app.build_middleware_stack = build_with_telemetry  # type: ignore[method-assign]
        setattr(app.state, _INSTRUMENTED, self)


def _open_writer(settings: Settings, node: str) -> EventWriter:
    """The writer of event files.

    Raises:
        SettingsError: their folder cannot be created.
    """
    try:
        return event_writer(settings, node)
    except OSError as error:
        raise SettingsError(f"stack.data_dir: {os_error_message(error)}") from error


def _check(app: Any) -> None:
    if not isinstance(app, Starlette):
        raise TypeError(f"expected a FastAPI or Starlette application, got {type(app).__name__}")
    if app.middleware_stack is not None:
        raise RuntimeError("call instrument(app) before the application's first request")
    if hasattr(app.state, _INSTRUMENTED):
        raise RuntimeError("the application is already instrumented")
