"""`summary.json`: the figures of a run, and whether they are valid."""

from __future__ import annotations

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from tidegate.loadgen.plan.request_kinds import Until

MAX_LAG_P99_SECONDS: Final = 0.010


class Figures(BaseModel):
    """The figures of all requests, or of one kind. Times in seconds.

    In percentiles a failed request counts as never answered. If failed requests were omitted, or
    counted with the millisecond in which a connection was refused, the target would look faster than it is.
    A percentile within the failed requests is None, as it is without requests. Maximum and mean are those
    of successful requests. Response times end with the byte of `until`; the p95 of both is there besides.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    planned: int
    sent: int
    answered: int
    failed: int
    response_p50_seconds: float | None
    response_p95_seconds: float | None
    response_p99_seconds: float | None
    response_max_seconds: float | None
    response_mean_seconds: float | None
    service_p50_seconds: float | None
    service_p95_seconds: float | None
    service_p99_seconds: float | None
    first_byte_p95_seconds: float | None
    last_byte_p95_seconds: float | None

    @property
    def all_failed(self) -> bool:
        """Whether requests have ended, and all of them failed."""
        return bool(self.failed) and self.response_mean_seconds is None


class ThresholdResult(BaseModel):
    """The result of a threshold; the value is in base units: seconds, fractions, counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    value: float | None
    seconds: bool
    """Whether the value is a duration."""
    passed: bool

    @property
    def shown(self) -> str:
        """The value as text."""
        if self.value is None:
            return "no value (too many requests failed, or there are no data)"
        return duration_text(self.value) if self.seconds else f"{self.value:.4g}"


class SlowRequest(BaseModel):
    """One of the slowest requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trace_id: str
    kind: str
    planned_seconds: float
    response_seconds: float
    service_seconds: float | None
    status: int | None
    error: str


class Setup(BaseModel):
    """The configuration of a run, sufficient to repeat it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str
    description: str
    arrivals: str
    duration_seconds: float = Field(gt=0)
    seed: int
    plan_sha256: str
    url: str
    method: str
    rows_file: str
    timeout_seconds: float
    max_lag_seconds: float = MAX_LAG_P99_SECONDS
    slo_seconds: float | None
    until: Until
    """The byte of a response at which its response time ends."""
    prometheus: str | None
    version: str


class Summary(Setup, Figures):
    """`summary.json`."""

    lag_p50_seconds: float | None
    lag_p99_seconds: float | None
    lag_max_seconds: float | None
    achieved_ratio: float
    """Sent requests divided by planned ones, times the planned time span divided by the actual one (if
    longer)."""
    response_p95_last_third_seconds: float | None
    """p95 of the requests planned in the last third of the run, which is after a scale-up."""
    replicas_min: int | None
    replicas_max: int | None
    by_kind: dict[str, Figures]
    errors: dict[str, int]
    thresholds: list[ThresholdResult] = []
    valid: bool
    invalid_reasons: list[str]
    interrupted: bool
    started_at: AwareDatetime
    ended_at: AwareDatetime
    slowest: list[SlowRequest]


def duration_text(seconds: float | None) -> str:
    """Format a duration with two to three digits and a unit; None is a dash."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        milliseconds = seconds * 1e3
        return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
    return f"{seconds:.2f} s" if seconds < 100 else f"{seconds:.0f} s"
