"""Sampling of traces, and its configuration by the OTEL_* variables. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tidegate.telemetry.propagation import Parent

_LOW_64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class HeadSampling:
    """The decision at the arrival of a request; failed and slow requests are sampled in any case.

    Attributes:
        ratio: fraction of traces to sample: those whose lower 64 bits of the id are below ratio·2⁶⁴, as in
            OpenTelemetry's TraceIdRatioBased, so that all services sample the same traces.
        keep_sampled: whether a trace that its caller samples is sampled here, too.
        drop_unsampled: whether a trace that its caller does not sample is not sampled here either.
        below: the least lower half of an id that is not sampled.
    """

    ratio: float
    keep_sampled: bool = True
    drop_unsampled: bool = False
    below: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "below", round(self.ratio * (_LOW_64 + 1)))

    def should_sample(self, trace_id: str, parent_sampled: bool | None) -> bool:
        """Whether to sample the trace; `parent_sampled` is None without a parent."""
        if parent_sampled and self.keep_sampled:
            return True
        if parent_sampled is False and self.drop_unsampled:
            return False
        return int(trace_id[16:], 16) < self.below


@dataclass(slots=True)
class CallerLimit:
    """Rate limit of the traces that callers can cause to be sampled, by their flag or by their trace id.

    A token bucket of one second, and of at least one trace.

    Attributes:
        per_second: traces per second; 0 ignores the decision of callers.
    """

    per_second: float
    _tokens: float = field(default=math.inf, init=False)
    _at_ns: int = field(default=0, init=False)

    def allows(self, now_ns: int) -> bool:
        """Whether one more may be sampled; `now_ns` is the time on a monotonic clock, in nanoseconds."""
        capacity = max(1.0, self.per_second) if self.per_second else 0.0
        elapsed = (now_ns - self._at_ns) / 1e9
        self._tokens, self._at_ns = min(capacity, self._tokens + elapsed * self.per_second), now_ns
        return self._tokens >= 1

    def count(self) -> None:
        """Count a sampled trace."""
        self._tokens -= 1


@dataclass(frozen=True, slots=True)
class Sampler:
    """Head sampling, with a limit on the traces that callers cause to be sampled."""

    head: HeadSampling
    callers: CallerLimit

    def should_sample(
        self, trace_id: str, parent: Parent | None, span_id: str, now_ns: int
    ) -> bool:
        """Whether to sample the trace of a request.

        Args:
            trace_id: the trace id; with a parent, the caller chose it.
            parent: the parent span, or None.
            span_id: the span id of the request, which no caller can choose.
            now_ns: the time on a monotonic clock.
        """
        if parent is None or not parent.remote:
            return self.head.should_sample(trace_id, parent.sampled if parent else None)
        if self.callers.allows(now_ns):
            sampled = self.head.should_sample(trace_id, parent.sampled)
            if sampled:
                self.callers.count()
            return sampled
        # A caller can choose a trace id within the ratio, so the span id of the request decides.
        return self.head.should_sample(span_id.zfill(32), None if parent.sampled else False)


@dataclass(frozen=True, slots=True)
class OtelEnvironment:
    """The configuration by those OTEL_* variables that the SDK does not read itself.

    Attributes:
        disabled: whether there are no spans at all (`OTEL_SDK_DISABLED`).
        head: the head sampling of native tracing.
        otlp: whether sampled spans are also exported by OTLP.
        problems: messages about unsupported and invalid values.
    """

    disabled: bool
    head: HeadSampling
    otlp: bool
    problems: tuple[str, ...] = ()


def read_environment(environ: Mapping[str, str], sample_ratio: float) -> OtelEnvironment:
    """Read the variables; `sample_ratio` applies if they name no sampler."""
    problems: list[str] = []
    head = _head(environ, sample_ratio, problems)
    otlp = _exports_otlp(environ, problems)
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return OtelEnvironment(disabled, head, otlp and not disabled, tuple(problems))


def _head(environ: Mapping[str, str], sample_ratio: float, problems: list[str]) -> HeadSampling:
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not name:
        return HeadSampling(sample_ratio)
    parent_based = name.startswith("parentbased_")
    match name.removeprefix("parentbased_"):
        case "always_on":
            ratio = 1.0
        case "always_off":
            ratio = 0.0
        case "traceidratio":
            ratio = _ratio(environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip(), problems)
        case _:
            problems.append(f"OTEL_TRACES_SAMPLER={name}: unknown sampler; it is ignored")
            return HeadSampling(sample_ratio)
    return HeadSampling(ratio, keep_sampled=parent_based, drop_unsampled=parent_based)


def _ratio(text: str, problems: list[str]) -> float:
    try:
        ratio = float(text or "1")
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    problems.append(f"OTEL_TRACES_SAMPLER_ARG={text}: expected a number from 0 to 1; 1 is used")
    return 1.0


def _exports_otlp(environ: Mapping[str, str], problems: list[str]) -> bool:
    value = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    exporters = {name.strip() for name in value.split(",") if name.strip()}
    problems += [
        f"OTEL_TRACES_EXPORTER={name}: only otlp and none are supported; it is ignored"
        for name in sorted(exporters - {"otlp", "none"})
    ]
    endpoint = any(
        environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
        for name in ("TRACES_ENDPOINT", "ENDPOINT")
    )
    # By default the specification exports to localhost; here the export must be configured.
    if "none" in exporters or not ("otlp" in exporters or (endpoint and not exporters)):
        return False
    protocol = next(
        filter(
            None,
            (
                environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip().lower()
                for name in ("TRACES_PROTOCOL", "PROTOCOL")
            ),
        ),
        "http/protobuf",
    )
    if protocol != "http/protobuf":
        problems.append(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: only http/protobuf is supported; no spans are exported"
        )
        return False
    return True
