"""The telemetry of one application: its events, spans, metrics and logs."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from prometheus_client import CollectorRegistry

from tidegate.events.event import Origin, make_event
from tidegate.events.writer import EventWriter
from tidegate.os_errors import os_error_message
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings, SettingsError, load
from tidegate.telemetry.asgi import Scope
from tidegate.telemetry.export import OtlpProcessor
from tidegate.telemetry.gen_ai import GEN_AI, TokenMetrics
from tidegate.telemetry.identity import Identity
from tidegate.telemetry.logs import (
    EventSink,
    close_sink,
    install_log_handlers,
    open_sink,
    remove_log_handlers,
)
from tidegate.telemetry.metrics import MetricsEndpoint, RequestMetrics
from tidegate.telemetry.metrics_server import MetricsServer
from tidegate.telemetry.models import WatchedModels
from tidegate.telemetry.native_tracing import NativeTracing
from tidegate.telemetry.otel_tracing import InstrumentedTracing
from tidegate.telemetry.propagation import Parent, read_headers
from tidegate.telemetry.request_event import request_line
from tidegate.telemetry.request_record import (
    Clock,
    FindRoute,
    RequestRecord,
    Tracing,
    record_of,
)
from tidegate.telemetry.routes import route_path
from tidegate.telemetry.sampling import CallerLimit, Sampler, read_environment
from tidegate.telemetry.semconv import known_method
from tidegate.telemetry.tracer_provider import make_otlp, make_provider

if TYPE_CHECKING:
    from tidegate.monitoring.watching.watched_model import WatchedModel

FLUSH_SECONDS: Final = 3.0
"""How long the shutdown of an application waits for the export of spans by OTLP."""

_LOGGER: Final = "tidegate.telemetry"
_COMMON_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Telemetry:
    """The telemetry of one application. It needs no application at hand; two of them share nothing.

    Args:
        settings: the settings; None reads them from tidegate.toml and the environment.
        origin: the `service.*` fields of the events; by default from the settings, the version and the node
            name.
        version: the version of the application (`service.version`).

    Attributes:
        settings: its settings.
        writer: writes its events.
        tracing: its tracing mode.

    Raises:
        SettingsError: a setting is invalid, the folder of event files cannot be created, or
            `telemetry.metrics_port` is taken.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        origin: Origin | None = None,
        *,
        version: str = "0",
        clock: Clock | None = None,
        ids: IdGenerator | None = None,
    ) -> None:
        self.settings = settings = load() if settings is None else settings
        self._identity = Identity.of(settings, version, origin)
        self.writer = writer = _open_writer(settings, self._identity.origin.node)
        self._identity.follow_forks(writer)
        self._clock = clock or Clock()
        self._ids = ids or RandomIdGenerator()
        identity = self._identity
        self._metrics = RequestMetrics(
            settings.slo, lambda: writer.lost, lambda: identity.origin.node
        )
        self._sink = EventSink(writer, lambda: identity.origin, self._clock)
        self._write_log = self._sink.write
        self.metrics_endpoint: Final = MetricsEndpoint(self._metrics)
        port = settings.telemetry.metrics_port
        self._server = (
            None
            if port is None
            else MetricsServer(self.registry, settings.stack.metrics_host, port)
        )
        self._quiet_paths = frozenset(settings.telemetry.quiet_paths)
        self._slow_ns = int(settings.slow_seconds * 1e9)
        self._until_first_byte = settings.slo.until == "first_byte"
        self._error_logged = False
        self._models: WatchedModels | None = None
        self._tokens: TokenMetrics | None = None
        environment = read_environment(os.environ, settings.telemetry.sample_ratio)
        self._sampler = Sampler(
            environment.head, CallerLimit(settings.telemetry.caller_traces_per_second)
        )
        self.tracing: Tracing = Tracing()
        self._provider: TracerProvider | None = None
        self._otlp: OtlpProcessor | None = None
        if not environment.disabled:
            self._set_up_tracing(otlp=environment.otlp)
        self._samples = isinstance(self.tracing, NativeTracing)
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

    def model(
        self, name: str, *, version: str, reference: str | Path | None = None
    ) -> WatchedModel:
        """Watch a model of the application: its rows, predictions and true labels.

        Call it once per model, before the application starts, so that its metrics begin at 0.

        Args:
            name: the model's name.
            version: its version.
            reference: the file that `tidegate reference` wrote; without one, predictions and labels are
                counted, and there is no drift.

        Raises:
            BadReferenceError: the file is missing or invalid; a ValueError.
            ImportError: numpy is not installed.
            SettingsError: the key of prediction ids cannot be read.
            ValueError: the name or the version is invalid, or the model is already watched.
        """
        if self._models is None:
            self._models = WatchedModels(self.settings, self.registry, self.write_event)
        return self._models.add(name, version, reference)

    def write_event(
        self,
        dataset: str,
        message: str,
        fields: Mapping[str, Any],
        *,
        event_id: str | None = None,
    ) -> None:
        """Write an event of a dataset of the application's own; see `make_event`."""
        of = (self.origin, dataset, message)
        self.writer.write(make_event(*of, unix_ns=time_ns(), event_id=event_id, fields=fields))

    def open(self) -> None:
        """Receive log records from outside requests, and serve the metrics on `telemetry.metrics_port`.

        Call it again when the application restarts after `close`.

        Raises:
            SettingsError: `telemetry.metrics_port` is taken.
        """
        if self._server is not None:
            self._server.open()
        open_sink(self._sink)
        install_log_handlers()

    def close(self) -> None:
        """Export queued spans for at most `FLUSH_SECONDS`, and close the event file and the metrics' port.

        If the application is used again, its events go to a new file.
        """
        if self._otlp is not None:
            self._otlp.flush_within(FLUSH_SECONDS)
        close_sink(self._sink)
        remove_log_handlers()
        self.writer.close()
        if self._server is not None:
            self._server.close()

    def begin(self, scope: Scope, find_route: FindRoute | None = None) -> RequestRecord:
        """The record of a request that has just arrived; `find_route` finds its route when it ends."""
        clock = self._clock
        started_ns, received_ns = clock.monotonic_ns(), clock.wall_ns()
        outer = record_of(scope)
        if outer is None:
            parent, arrived_ns = read_headers(scope["headers"], received_ns)
        else:  # mounted in another instrumented application, which has read the headers
            parent = Parent(outer.trace_id, outer.span_id, outer.sampled, remote=False)
            arrived_ns = None
        trace_id = parent.trace_id if parent else self._ids.generate_trace_id().to_bytes(16).hex()
        span_id = self._new_span_id()
        # By position: so many keywords take twice as long.
        return RequestRecord(
            self.tracing,
            self._write_log,
            clock,
            scope,
            scope["method"],
            scope["path"],
            scope.get("root_path", ""),
            trace_id,
            span_id,
            parent,
            self._samples and self._sampler.should_sample(trace_id, parent, span_id, started_ns),
            route_path(scope) in self._quiet_paths,
            received_ns,
            received_ns if arrived_ns is None else arrived_ns,
            started_ns,
            find_route,
        )

    def first_byte(self, record: RequestRecord) -> None:
        """Record that the first byte of the response's body is sent, if the objective is about it.

        Its metric does not wait for the end. Never raises.
        """
        if self._until_first_byte and not record.quiet:
            record.first_byte_ns = record.now_ns()
            try:
                self._observe_first_byte(record, sampled=self.is_sampled(record))
            except Exception as error:  # noqa: BLE001 - telemetry must not break a request
                self._report(error)

    def finish(self, record: RequestRecord) -> None:
        """Write the request's event, metrics and spans. Never raises: telemetry must not break a request."""
        record.finished = True
        try:
            if not record.quiet:
                self._write(record)
        except Exception as error:  # noqa: BLE001 - telemetry must not break a request
            self._report(error)
        finally:
            # Break the reference cycles through tracebacks, so that the record is freed immediately and
            # not by the garbage collector.
            record.exception = None
            for child in record.spans:
                child.error = None
            record.spans.clear()

    def is_sampled(self, record: RequestRecord) -> bool:
        """Whether the request's spans will be emitted, as far as is known now."""
        # The headers precede the first byte, so the time until now is a lower bound of both objectives.
        notable = record.failed or record.now_ns() - record.arrived_ns >= self._slow_ns
        return not record.quiet and self.tracing.should_emit(record, notable=notable)

    def _write(self, record: RequestRecord) -> None:
        end_ns = record.now_ns()
        duration_ns = measured_ns = end_ns - record.arrived_ns
        if self._until_first_byte:
            sent_ns = end_ns if record.first_byte_ns is None else record.first_byte_ns
            measured_ns = record.fields["first_byte_ns"] = sent_ns - record.arrived_ns
        sampled = self.tracing.should_emit(
            record, notable=record.failed or measured_ns >= self._slow_ns
        )
        route = record.find_route()
        self._observe(record, route.full, duration_ns / 1e9, sampled=sampled)
        if self._until_first_byte and record.first_byte_ns is None:  # it sent no body
            record.first_byte_ns = end_ns
            self._observe_first_byte(record, sampled=sampled)
        self.writer.write_encoded(request_line(self.origin, record, route.full, end_ns))
        if GEN_AI in record.fields:
            self._tokens = self._tokens or TokenMetrics(self.registry)
            self._tokens.observe(record.fields)
        if sampled:
            self.tracing.emit(record, route.top, end_ns)

    def _observe_first_byte(self, record: RequestRecord, *, sampled: bool) -> None:
        seconds = ((record.first_byte_ns or 0) - record.arrived_ns) / 1e9
        self._observe(record, record.find_route().full, seconds, sampled=sampled, first_byte=True)

    def _observe(
        self,
        record: RequestRecord,
        route: str,
        seconds: float,
        *,
        sampled: bool,
        first_byte: bool = False,
    ) -> None:
        method = record.method if record.method in _COMMON_METHODS else known_method(record.method)
        exemplar = {"trace_id": record.trace_id, "span_id": record.span_id} if sampled else None
        of = (route, method, record.status)
        self._metrics.observe(*of, seconds, exemplar, first_byte=first_byte)

    def _report(self, error: Exception) -> None:
        """Log the first exception only: it may occur for each request."""
        if not self._error_logged:
            self._error_logged = True
            logging.getLogger(_LOGGER).error("cannot record a request", exc_info=error)

    def _new_span_id(self) -> str:
        return self._ids.generate_span_id().to_bytes(8).hex()

    def _set_up_tracing(self, *, otlp: bool) -> None:
        mode = self.settings.telemetry.tracing
        if mode == "off":
            return
        sink = self._sink

        def report(down: bool) -> None:
            if down:
                text = "the OTLP endpoint is unavailable; spans are dropped until it recovers"
                sink.write(_LOGGER, "warn", text)
            else:
                sink.write(_LOGGER, "info", "the OTLP endpoint accepts spans again")

        self._otlp = make_otlp(report) if otlp else None
        self._provider, ended = make_provider(
            self._identity,
            self.writer,
            sampler=ALWAYS_ON if mode == "native" else None,
            ids=self._ids,
            otlp=self._otlp,
        )
        # At the end of the process or of this object.
        weakref.finalize(self, self._provider.shutdown)
        if mode == "native":
            self.tracing = NativeTracing(self._provider, ended, self._new_span_id)
        else:
            self.tracing = InstrumentedTracing.of(self._provider)


def _open_writer(settings: Settings, node: str) -> EventWriter:
    """The writer of event files.

    Raises:
        SettingsError: their folder cannot be created.
    """
    try:
        return event_writer(settings, node)
    except OSError as error:
        raise SettingsError(f"stack.data_dir: {os_error_message(error)}") from error
