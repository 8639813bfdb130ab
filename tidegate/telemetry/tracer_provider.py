"""The OpenTelemetry SDK's tracer provider of one application."""

# mypy: allow-untyped-calls
# The SDK has no types for the constructor of its span processors.
from __future__ import annotations

from collections.abc import Callable

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.settings import SettingsError
from tidegate.telemetry.export import OtlpExporter, OtlpProcessor, PublicSpans
from tidegate.telemetry.identity import Identity


def make_provider(
    identity: Identity,
    writer: EventWriter,
    *,
    sampler: Sampler | None,
    ids: IdGenerator,
    otlp: OtlpProcessor | None,
) -> tuple[TracerProvider, PublicSpans]:
    """A tracer provider for one application, and what takes its ended spans; the global one is not changed.

    Args:
        identity: the origin of the span events.
        writer: writes the span events.
        sampler: the sampler; None uses the one that `OTEL_TRACES_SAMPLER` names.
        ids: generates trace and span ids.
        otlp: also exports the spans to an OTLP endpoint, if given.
    """
    public = PublicSpans(writer, lambda: identity.origin)
    if otlp is not None:
        public.add_span_processor(otlp)
    provider = TracerProvider(
        sampler=sampler,
        resource=_resource(identity.origin),
        active_span_processor=public,
        id_generator=ids,
        shutdown_on_exit=False,
    )
    return provider, public


def make_otlp(report: Callable[[bool], None]) -> OtlpProcessor:
    """The processor that exports spans to the OTLP endpoint configured by the OTEL_* variables.

    Args:
        report: called with True when the endpoint stops accepting spans, with False when it recovers.

    Raises:
        SettingsError: a variable is invalid.
    """
    try:
        return OtlpProcessor(OtlpExporter(report))
    except (ValueError, RuntimeError) as error:
        raise SettingsError(f"OTEL_EXPORTER_OTLP_*, OTEL_BSP_*: {error}") from error


def _resource(origin: Origin) -> Resource:
    """`service.*` of the settings; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME take precedence."""
    configured = {
        "service.name": origin.service,
        "service.version": origin.version,
        "service.instance.id": origin.node,
        "deployment.environment.name": origin.environment,
    }
    return Resource.create({**configured, **OTELResourceDetector().detect().attributes})
