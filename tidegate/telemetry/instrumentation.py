"""`instrument(app)`: what ties the middleware, the spans, the metrics and the logs of one app together."""

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
from tidegate.settings import Settings, load
from tidegate.telemetry.event_lines import request_event
from tidegate.telemetry.export import OtlpProcessor
from tidegate.telemetry.logs import (
    EventSink,
    close_sink,
    open_sink,
    set_up_logging,
    take_down_logging,
)
from tidegate.telemetry.metrics import RequestMetrics
from tidegate.telemetry.middleware import TelemetryMiddleware
from tidegate.telemetry.naming import with_own_name
from tidegate.telemetry.native import NativeTracing, PresetIds
from tidegate.telemetry.other_tracing import InstrumentedTracing, NoTracing
from tidegate.telemetry.propagation import Parent, read_headers
from tidegate.telemetry.request_record import Clock, RequestRecord, Tracing, record_of
from tidegate.telemetry.routes import RouteFinder, route_path
from tidegate.telemetry.sampling import CallerLimit, Sampler, read_environment
from tidegate.telemetry.semconv import known_method
from tidegate.telemetry.setup import Identity, make_otlp, make_provider, open_writer

FLUSH_SECONDS: Final = 3.0
"""How long the end of an app waits for spans that are on their way to an OTLP endpoint."""

_LOGGER: Final = "tidegate.telemetry"
_INSTRUMENTED: Final = "tidegate_telemetry"
_USUAL_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_NOT_QUIET: Final = nullcontext()


class _Backend(Tracing, Protocol):
    """A way of tracing, as `Telemetry` uses it."""

    def keeps(self, record: RequestRecord, *, notable: bool) -> bool: ...

    def emit(self, record: RequestRecord, route: str, end_ns: int) -> None: ...


def instrument(
    app: Starlette, settings: Settings | None = None, *, origin: Origin | None = None
) -> Telemetry:
    """Give each request of a FastAPI or Starlette application its event, spans and metrics.

    Adds the route `/metrics` and the middleware, outermost of all. Call it once, before the
    application has started.

    Args:
        app: the application.
        settings: where events go and what is kept; read from tidegate.toml and the environment if
            not given; `service.name` is then the application's title, or the name of the module that calls
            this, unless it is set there.
        origin: the `service.*` fields of the events; made from the settings and the app's own version
            if not given.

    Returns:
        What was set up. Register further metrics in its `registry`.

    Raises:
        SettingsError: a setting is bad, or the folder of event files cannot be made.
        RuntimeError: the application was instrumented before, or has started.
        TypeError: it is neither a FastAPI nor a Starlette application.
    """
    if settings is None:
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        settings = with_own_name(load(), app, caller.f_globals if caller else {})
    return Telemetry(app, settings, origin)


class Telemetry:
    """All that belongs to one instrumented application; nothing is shared between two of them.

    Attributes:
        settings: the settings in force.
        writer: where its events go.
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
        self.writer = writer = open_writer(settings, self._identity.origin.node)
        self._identity.follow_forks(writer)
        self._clock = clock or Clock()
        self._ids = ids or RandomIdGenerator()
        self._metrics = RequestMetrics(settings.slo.latency_seconds, lambda: writer.lost)
        identity = self._identity
        self._sink = EventSink(writer, lambda: identity.origin, self._clock)
        self._routes = RouteFinder(app)
        self._quiet_paths = frozenset(settings.telemetry.quiet_paths)
        self._slow_ns = int(settings.slow_seconds * 1e9)
        self._complained = False
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
        """The metrics that `/metrics` shows."""
        return self._metrics.registry

    @property
    def origin(self) -> Origin:
        """Who writes the events."""
        return self._identity.origin

    def open(self) -> None:
        """Take log lines from outside requests; again after `close`, when the app starts anew."""
        open_sink(self._sink)
        set_up_logging()

    def close(self) -> None:
        """Send what is on its way, for at most `FLUSH_SECONDS`, and close the event file.

        An app that is used again after this goes on, with a new file.
        """
        if self._otlp is not None:
            self._otlp.flush_within(FLUSH_SECONDS)
        close_sink(self._sink)
        take_down_logging()
        self.writer.close()

    def begin(self, scope: Any) -> RequestRecord:
        """The record of a request that has just come in."""
        started_ns = self._clock.monotonic_ns()
        received_ns = self._clock.wall_ns()
        incoming = read_headers(scope["headers"], received_ns)
        parent, arrived_ns = incoming.parent, incoming.arrived_ns
        outer = record_of(scope)
        if outer is not None:  # mounted in another instrumented app, which has read the headers
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
            sampled=self._samples and self._sampler.keeps(trace_id, parent, span_id, started_ns),
            quiet=route_path(scope) in self._quiet_paths,
            received_ns=received_ns,
            arrived_ns=received_ns if arrived_ns is None else arrived_ns,
            started_ns=started_ns,
        )

    def surround(self, record: RequestRecord) -> AbstractContextManager[None]:
        """What the application runs in: the instrumentation makes no spans of quiet requests."""
        return suppress_http_instrumentation() if record.quiet else _NOT_QUIET

    def finish(self, record: RequestRecord) -> None:
        """Write what became of the request. Never raises: telemetry must not break what it watches."""
        record.finished = True
        try:
            if not record.quiet:
                self._write(record)
        except Exception:
            if not self._complained:  # once: the same mistake would come with every request
                self._complained = True
                logging.getLogger(_LOGGER).exception("cannot write down a request")
        finally:
            # They hold this record, by themselves or by their tracebacks' frames: without these cycles
            # it is freed at once, and not by the garbage collector.
            record.exception = None
            for noted in record.spans:
                noted.error = None
            record.spans.clear()

    def keeps_so_far(self, record: RequestRecord) -> bool:
        """Whether the request's spans will be made, by what is known now."""
        notable = record.failed or record.now_ns() - record.arrived_ns >= self._slow_ns
        return not record.quiet and self._tracing.keeps(record, notable=notable)

    def _write(self, record: RequestRecord) -> None:
        end_ns = record.now_ns()
        duration_ns = end_ns - record.arrived_ns
        kept = self._tracing.keeps(record, notable=record.failed or duration_ns >= self._slow_ns)
        route = self._routes.find(record.scope, record.root_path)
        method = record.method if record.method in _USUAL_METHODS else known_method(record.method)
        exemplar = {"trace_id": record.trace_id, "span_id": record.span_id} if kept else None
        self._metrics.observe(route.full, method, record.status, duration_ns / 1e9, exemplar)
        self.writer.write(request_event(self.origin, record, route.full, end_ns))
        if kept:
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
                text = "the OTLP endpoint takes no spans; they are dropped until it does"
                sink.write(_LOGGER, "warn", text)
            else:
                sink.write(_LOGGER, "info", "the OTLP endpoint takes spans again")

        self._otlp = make_otlp(report) if otlp else None
        self._provider = make_provider(
            self._identity,
            self.writer,
            sampler=ALWAYS_ON if mode == "native" else None,
            ids=preset if mode == "native" else self._ids,
            otlp=self._otlp,
        )
        # At the end of the process, or of this object.
        weakref.finalize(self, self._provider.shutdown)
        if mode == "native":
            self._tracing = NativeTracing(self._provider, preset, self._new_span_id)
        else:
            self._tracing = InstrumentedTracing.install(app, self._provider)

    def _install(self, app: Starlette) -> None:
        # First, so that no catch-all route or mount at "/" of the app's hides it.
        show = Route("/metrics", self._metrics.show, include_in_schema=False)
        app.router.routes.insert(0, show)
        build = app.build_middleware_stack

        def build_with_telemetry() -> ASGIApp:
            # Around everything, the app's own answer to an unhandled exception included, which no
            # middleware added by `add_middleware` sees.
            return TelemetryMiddleware(build(), self)

        app.build_middleware_stack = build_with_telemetry  # type: ignore[method-assign]
        setattr(app.state, _INSTRUMENTED, self)


def _check(app: Any) -> None:
    if not isinstance(app, Starlette):
        raise TypeError(f"needs a FastAPI or Starlette application, got {type(app).__name__}")
    if app.middleware_stack is not None:
        raise RuntimeError("instrument(app) comes before the application's first request")
    if hasattr(app.state, _INSTRUMENTED):
        raise RuntimeError("this application is instrumented already")
