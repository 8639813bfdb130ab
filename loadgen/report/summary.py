"""The summary of a run: its figures, and whether they may be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from tidegate.loadgen.plan.durations import duration_text
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.send.record import Floats, Mask, Recording

MAX_LAG_P99_SECONDS: Final = 0.010
MIN_ACHIEVED_RATIO: Final = 0.99
SLOWEST: Final = 10


class Figures(BaseModel):
    """The figures of all requests, or of one kind. Times in seconds.

    In a percentile a failed request counts as one that was never answered: leaving it out, or counting
    the millisecond in which a connection was refused, would flatter the target. So a percentile that
    falls among the failed is None, as it is when there are no requests. The longest and the mean are
    those of good answers.
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

    @property
    def all_failed(self) -> bool:
        """Whether requests ended, and none of them well."""
        return bool(self.failed) and self.response_mean_seconds is None


class ThresholdResult(BaseModel):
    """What became of a threshold; the value is in base units: seconds, shares, counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str
    value: float | None
    seconds: bool
    """Whether the value is a time."""
    passed: bool

    @property
    def shown(self) -> str:
        """The value as a person says it."""
        if self.value is None:
            return "without a value (too many failed, or nothing was measured)"
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
    """What a run was asked to do: enough to do it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenario: str
    description: str
    arrivals: str
    duration_seconds: float
    seed: int
    plan_sha256: str
    url: str
    rows_file: str
    timeout_seconds: float
    slo_seconds: float | None
    prometheus: str | None
    version: str


class Summary(Setup, Figures):
    """`summary.json`."""

    lag_p50_seconds: float | None
    lag_p99_seconds: float | None
    lag_max_seconds: float | None
    achieved_ratio: float
    """Sent of planned, times the planned span over the span it took to send them (if longer)."""
    response_p95_last_third_seconds: float | None
    """p95 of the requests planned in the last third of the run: after the scale-up, if there was one."""
    replicas_min: int | None
    replicas_max: int | None
    by_kind: dict[str, Figures]
    errors: dict[str, int]
    thresholds: list[ThresholdResult] = []
    valid: bool
    invalid_reasons: list[str]
    interrupted: bool
    started_at: datetime
    ended_at: datetime
    slowest: list[SlowRequest]


def summarise(
    recording: Recording,
    signals: Signals,
    setup: Setup,
    *,
    started_at: datetime,
    ended_at: datetime,
    interrupted: bool,
) -> Summary:
    """The summary of a record; thresholds are judged after."""
    everything = np.ones(len(recording), dtype=np.bool_)
    lag = recording.lag[recording.was_sent]
    achieved = achieved_ratio(recording)
    last_third = recording.planned >= setup.duration_seconds * 2 / 3
    lag_p99 = quantile(lag, 0.99)
    reasons = list(invalid_reasons(lag_p99, achieved, interrupted=interrupted))
    return Summary(
        **_figures(recording, everything).model_dump(),
        lag_p50_seconds=quantile(lag, 0.5),
        lag_p99_seconds=lag_p99,
        lag_max_seconds=quantile(lag, 1.0),
        achieved_ratio=achieved,
        response_p95_last_third_seconds=quantile(
            recording.felt[last_third & recording.ended], 0.95
        ),
        replicas_min=signals.replicas_min,
        replicas_max=signals.replicas_max,
        by_kind={
            kind: _figures(recording, mask)
            for kind in REQUEST_KINDS
            if (mask := recording.of_kind(kind)).any()
        },
        errors=recording.errors(),
        valid=not reasons,
        invalid_reasons=reasons,
        interrupted=interrupted,
        started_at=started_at,
        ended_at=ended_at,
        slowest=list(_slowest(recording)),
        **setup.model_dump(),
    )


def quantile(values: Floats, q: float) -> float | None:
    """The smallest value that a share q of the values does not exceed; None if there is no finite one."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    found = float(np.quantile(known, q, method="inverted_cdf"))
    return round(found, 6) if math.isfinite(found) else None


def achieved_ratio(recording: Recording) -> float:
    """How much of the planned rate was reached, from 0 to 1."""
    sent = recording.was_sent
    if not sent.any():
        return 0.0
    planned_span = float(recording.planned[sent].max())
    sent_span = float(recording.sent[sent].max())
    in_time = min(1.0, planned_span / sent_span) if sent_span > 0 else 1.0
    return round(float(sent.sum()) / len(recording) * in_time, 6)


def invalid_reasons(lag_p99: float | None, achieved: float, *, interrupted: bool) -> Iterable[str]:
    """Why the figures are not to be trusted, in words; none if they are."""
    if interrupted:
        yield "the run was interrupted"
    if lag_p99 is not None and lag_p99 > MAX_LAG_P99_SECONDS:
        yield (
            f"requests were sent late: the lag's p99 is {lag_p99 * 1e3:.1f} ms, "
            f"{MAX_LAG_P99_SECONDS * 1e3:.0f} ms is the most (this machine was too busy)"
        )
    if achieved < MIN_ACHIEVED_RATIO and not interrupted:
        yield (
            f"{achieved:.1%} of the planned rate was achieved, {MIN_ACHIEVED_RATIO:.0%} is the least"
        )


def _figures(recording: Recording, mask: Mask) -> Figures:
    counted = mask & recording.ended
    felt = recording.felt[counted]
    service = np.where(recording.failed, np.inf, recording.service)[counted]
    good = felt[np.isfinite(felt)]
    return Figures(
        planned=int(mask.sum()),
        sent=int((mask & recording.was_sent).sum()),
        answered=int((mask & recording.answered).sum()),
        failed=int((mask & recording.failed).sum()),
        response_p50_seconds=quantile(felt, 0.5),
        response_p95_seconds=quantile(felt, 0.95),
        response_p99_seconds=quantile(felt, 0.99),
        response_max_seconds=quantile(good, 1.0),
        response_mean_seconds=round(float(good.mean()), 6) if good.size else None,
        service_p50_seconds=quantile(service, 0.5),
        service_p95_seconds=quantile(service, 0.95),
        service_p99_seconds=quantile(service, 0.99),
    )


def _slowest(recording: Recording) -> Iterable[SlowRequest]:
    response = np.round(np.where(recording.was_sent, recording.response, np.nan), 6)
    order = np.argsort(-np.nan_to_num(response, nan=-np.inf), kind="stable")[:SLOWEST]
    for index in order:
        row = int(index)
        if np.isnan(response[row]):
            return
        yield SlowRequest(
            trace_id=recording.trace_id(row),
            kind=REQUEST_KINDS[recording.kind[row]],
            planned_seconds=round(float(recording.planned[row]), 6),
            response_seconds=float(response[row]),
            service_seconds=round(float(recording.service[row]), 6),
            status=int(recording.status[row]) or None,
            error=recording.error(row),
        )
