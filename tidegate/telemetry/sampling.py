"""Which requests' spans are kept, and what the OTEL_* variables say about it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tidegate.telemetry.propagation import Parent

_LOW_64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class HeadSampling:
    """The decision that is taken when a request comes in; errors and slow requests are kept besides.

    Attributes:
        ratio: share of traces kept, by their id: the lower 64 bits below ratio·2⁶⁴, as in
            OpenTelemetry's TraceIdRatioBased, so that every service keeps the same traces.
        keep_sampled: whether a caller that keeps its part of the trace decides for ours.
        drop_unsampled: whether a caller that does not keep its part decides for ours.
    """

    ratio: float
    keep_sampled: bool = True
    drop_unsampled: bool = False

    def keeps(self, trace_id: str, parent_sampled: bool | None) -> bool:
        """Whether the trace is kept; `parent_sampled` is None if there is no parent."""
        if parent_sampled and self.keep_sampled:
            return True
        if parent_sampled is False and self.drop_unsampled:
            return False
        return int(trace_id[16:], 16) < round(self.ratio * (_LOW_64 + 1))


@dataclass(slots=True)
class CallerLimit:
    """How many traces a second callers may have kept, by the flag or by the trace id that they send.

    A token bucket that holds one second's traces, and at least one.

    Attributes:
        per_second: traces a second; 0 believes no caller.
    """

    per_second: float
    _left: float = field(default=math.inf, init=False)
    _at_ns: int = field(default=0, init=False)

    def allows(self, now_ns: int) -> bool:
        """Whether one more may be kept, at a time on a monotonic clock in nanoseconds."""
        most = max(1.0, self.per_second) if self.per_second else 0.0
        passed = (now_ns - self._at_ns) / 1e9
        self._left, self._at_ns = min(most, self._left + passed * self.per_second), now_ns
        return self._left >= 1

    def count(self) -> None:
        """Count one that is kept."""
        self._left -= 1


@dataclass(frozen=True, slots=True)
class Sampler:
    """Head sampling that a caller cannot raise without limit."""

    head: HeadSampling
    callers: CallerLimit

    def keeps(self, trace_id: str, parent: Parent | None, span_id: str, now_ns: int) -> bool:
        """Whether a request's trace is kept.

        Args:
            trace_id: the request's; its caller's if there is a parent.
            parent: what it belongs under.
            span_id: the request's own, which no caller chooses.
            now_ns: now, on a monotonic clock.
        """
        if parent is None or not parent.remote:
            return self.head.keeps(trace_id, parent.sampled if parent else None)
        if self.callers.allows(now_ns):
            kept = self.head.keeps(trace_id, parent.sampled)
            if kept:
                self.callers.count()
            return kept
        # A forged trace id could belong to every share, so the request's own id decides.
        return self.head.keeps(span_id.zfill(32), None if parent.sampled else False)


@dataclass(frozen=True, slots=True)
class OtelEnvironment:
    """What the standard OTEL_* variables ask for, as far as the SDK does not read them itself.

    Attributes:
        disabled: no spans at all (`OTEL_SDK_DISABLED`).
        head: the head decision of native tracing.
        otlp: whether kept spans go to an OTLP endpoint too.
        problems: what was asked for and cannot be, in words.
    """

    disabled: bool
    head: HeadSampling
    otlp: bool
    problems: tuple[str, ...] = ()


def read_environment(environ: Mapping[str, str], sample_ratio: float) -> OtelEnvironment:
    """Read the variables; `sample_ratio` is the share when they do not name a sampler."""
    problems: list[str] = []
    head = _head(environ, sample_ratio, problems)
    otlp = _wants_otlp(environ, problems)
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
            problems.append(f"OTEL_TRACES_SAMPLER={name}: there is no such sampler; it is not used")
            return HeadSampling(sample_ratio)
    return HeadSampling(ratio, keep_sampled=parent_based, drop_unsampled=parent_based)


def _ratio(text: str, problems: list[str]) -> float:
    try:
        ratio = float(text or "1")
    except ValueError:
        ratio = -1.0
    if 0 <= ratio <= 1:
        return ratio
    problems.append(f"OTEL_TRACES_SAMPLER_ARG={text}: needs a number from 0 to 1; 1 is used")
    return 1.0


def _wants_otlp(environ: Mapping[str, str], problems: list[str]) -> bool:
    asked = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    exporters = {name.strip() for name in asked.split(",") if name.strip()}
    problems += [
        f"OTEL_TRACES_EXPORTER={name}: only otlp and none can be had; it is not used"
        for name in sorted(exporters - {"otlp", "none"})
    ]
    endpoint = any(
        environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip()
        for name in ("TRACES_ENDPOINT", "ENDPOINT")
    )
    # The specification's default is to send to localhost unasked; we send only when asked.
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
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol}: only http/protobuf can be had; no spans are sent"
        )
        return False
    return True
