"""The section of the telemetry of requests."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tidegate.settings.section import Port, Ratio, Seconds, Section


class Telemetry(Section):
    """The telemetry of requests."""

    tracing: Literal["native", "opentelemetry", "off"] = "native"
    """`native` creates spans for sampled requests only; `opentelemetry` uses its instrumentations."""
    sample_ratio: Ratio = 0.05
    """Fraction of requests whose spans `native` records; errors and slow requests are always recorded."""
    caller_traces_per_second: float = Field(default=10.0, ge=0, le=1e6)
    """Maximum number of traces per second that `native` records because the caller's `traceparent` is
    sampled; further ones are subject to `sample_ratio`. 0 ignores the caller's decision."""
    slow_seconds: Seconds | None = None
    """Requests with a longer response time (until the byte of `slo.until`) count as slow; unset means
    `slo.latency_seconds`."""
    file_bytes: int = Field(default=64 * 2**20, ge=4096, le=2**40)
    """Maximum size of an event file; then a new file is started."""
    file_seconds: Seconds = 3600.0
    """Maximum age of an event file; then a new file is started."""
    metrics_port: Port | None = None
    """Port on which the process serves its metrics too, on `stack.metrics_host`, in addition to `/metrics`;
    unset means none. Each process needs a port of its own: `tidegate up` uses it for the first replica and
    the ports after it for the others."""
    quiet_paths: tuple[str, ...] = ("/live", "/ready", "/metrics")
    """Paths without events and spans: those of probes and scrapes."""
