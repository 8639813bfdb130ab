"""What an app's telemetry is made of: who writes, where to, and the SDK's provider of spans."""

from __future__ import annotations

import os
import re
import socket
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.os_errors import os_error_message
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings, SettingsError
from tidegate.telemetry.export import EventSpanExporter, OtlpExporter, OtlpProcessor


@dataclass(slots=True, weakref_slot=True)
class Identity:
    """Who writes the events; a forked process is a node of its own, unless it was given a name.

    Attributes:
        origin: the `service.*` fields as they are now.
        renew: makes a forked process's own; None if the name was given.
    """

    origin: Origin
    renew: Callable[[], Origin] | None = None

    @classmethod
    def of(cls, settings: Settings, version: str, given: Origin | None) -> Identity:
        """The given origin, or the one that the settings make."""
        if given is not None:
            return cls(given)
        if settings.service.node_name:
            return cls(make_origin(settings, version))
        return cls(make_origin(settings, version), lambda: make_origin(settings, version))

    def follow_forks(self, writer: EventWriter) -> None:
        """Take a new name in each forked process, and give it to the writer."""
        identity, held = weakref.ref(self), weakref.ref(writer)

        def in_child() -> None:
            me, mine = identity(), held()
            if me is not None and mine is not None and me.renew is not None:
                me.origin = me.renew()
                mine.node = me.origin.node

        os.register_at_fork(after_in_child=in_child)


def make_origin(settings: Settings, version: str) -> Origin:
    """The origin of this process; without `service.node_name`, `<name>-<host>-<pid>`."""
    service = settings.service
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:60]
    return Origin(
        service=service.name,
        version=version,
        environment=service.environment,
        node=service.node_name or f"{service.name}-{host}-{os.getpid()}",
        namespace=service.namespace,
    )


def open_writer(settings: Settings, node: str) -> EventWriter:
    """The writer of event files.

    Raises:
        SettingsError: their folder cannot be made.
    """
    try:
        return event_writer(settings, node)
    except OSError as error:
        raise SettingsError(f"stack.data_dir: {os_error_message(error)}") from error


def make_provider(
    identity: Identity,
    writer: EventWriter,
    *,
    sampler: Sampler | None,
    ids: IdGenerator,
    otlp: OtlpProcessor | None,
) -> TracerProvider:
    """A provider of spans that belongs to one app; the process-wide one is left alone.

    Args:
        identity: who writes the spans.
        writer: where their lines go.
        sampler: None means the one that `OTEL_TRACES_SAMPLER` names.
        ids: where their ids come from.
        otlp: sends them to an OTLP endpoint too, if given.
    """
    provider = TracerProvider(
        sampler=sampler,
        resource=_resource(identity.origin),
        id_generator=ids,
        shutdown_on_exit=False,
    )
    exporter = EventSpanExporter(writer, lambda: identity.origin)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    if otlp is not None:
        provider.add_span_processor(otlp)
    return provider


def make_otlp(report: Callable[[bool], None]) -> OtlpProcessor:
    """What sends spans to the OTLP endpoint that the OTEL_* variables describe.

    Args:
        report: told when the endpoint stops (True) or begins again (False) to take spans.

    Raises:
        SettingsError: a variable is bad.
    """
    try:
        return OtlpProcessor(OtlpExporter(report))
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_*, OTEL_BSP_*: {error}") from error


def _resource(origin: Origin) -> Resource:
    """`service.*` of the settings, over which OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win."""
    ours = {
        "service.name": origin.service,
        "service.version": origin.version,
        "service.instance.id": origin.node,
        "deployment.environment.name": origin.environment,
    }
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})
