"""Computes the figures of a run, and whether they are valid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import numpy as np

from tidegate.loadgen.plan.request_kinds import Until
from tidegate.loadgen.report.replica_signals import Signals
from tidegate.loadgen.report.summary import (
    MAX_LAG_P99_SECONDS,
    Figures,
    Setup,
    SlowRequest,
    Summary,
)
from tidegate.loadgen.send.record import Floats, Mask, Recording

MIN_ACHIEVED_RATIO: Final = 0.99
SLOWEST: Final = 10


def summarize(
    recording: Recording,
    signals: Signals,
    setup: Setup,
    *,
    started_at: datetime,
    ended_at: datetime,
    interrupted: bool,
) -> Summary:
    """Return the summary of a recording, without thresholds."""
    everything = np.ones(len(recording), dtype=np.bool_)
    lag = recording.lag[recording.was_sent]
    last_third = recording.planned >= setup.duration_seconds * 2 / 3
    lag_p99 = quantile(lag, 0.99)
    max_lag = setup.max_lag_seconds
    in_time = achieved_ratio(recording, max_lag)
    reasons = list(invalid_reasons(lag_p99, in_time, max_lag, interrupted=interrupted))
    return Summary(
        **_figures(recording, everything).model_dump(),
        lag_p50_seconds=quantile(lag, 0.5),
        lag_p99_seconds=lag_p99,
        lag_max_seconds=quantile(lag, 1.0),
        achieved_ratio=achieved_ratio(recording),
        response_p95_last_third_seconds=quantile(
            recording.response_or_infinity[last_third & recording.ended], 0.95
        ),
        replicas_min=signals.replicas_min,
        replicas_max=signals.replicas_max,
        by_kind={kind: _figures(recording, mask) for kind, mask in recording.by_kind()},
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
    """Return the smallest value that a fraction q of the values does not exceed; None if it is not finite."""
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    found = float(np.quantile(known, q, method="inverted_cdf"))
    return round(found, 6) if math.isfinite(found) else None


def achieved_ratio(recording: Recording, max_lag: float = 0.0) -> float:
    """Return the achieved fraction of the planned rate, from 0 to 1; a lag up to `max_lag` costs none."""
    sent = recording.was_sent
    if not sent.any():
        return 0.0
    planned_span = float(recording.planned[sent].max())
    sent_span = float(recording.sent[sent].max()) - max_lag
    in_time = min(1.0, planned_span / sent_span) if sent_span > 0 else 1.0
    return round(float(sent.sum()) / len(recording) * in_time, 6)


def invalid_reasons(
    lag_p99: float | None,
    achieved: float,
    max_lag: float = MAX_LAG_P99_SECONDS,
    *,
    interrupted: bool,
) -> Iterable[str]:
    """Return the reasons why the figures are invalid; none if they are valid."""
    if interrupted:
        yield "the run was interrupted"
    if lag_p99 is not None and lag_p99 > max_lag:
        yield (
            f"requests were sent late: the p99 of the send lag is {lag_p99 * 1e3:.1f} ms, the maximum is "
            f"{max_lag * 1e3:g} ms: this machine was too busy. Stop other work, lower the rate, or send from "
            "another machine (--allow-remote); --max-lag accepts more, as response times include the lag"
        )
    if achieved < MIN_ACHIEVED_RATIO and not interrupted:
        yield (
            f"{achieved:.1%} of the planned rate was achieved, the minimum is {MIN_ACHIEVED_RATIO:.0%}"
        )


def _figures(recording: Recording, mask: Mask) -> Figures:
    counted = mask & recording.ended
    felt = recording.response_or_infinity[counted]
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
        first_byte_p95_seconds=_p95_until(recording, counted, "first-byte"),
        last_byte_p95_seconds=_p95_until(recording, counted, "last-byte"),
    )


def _p95_until(recording: Recording, counted: Mask, until: Until) -> float | None:
    return quantile(recording.or_infinity(recording.response_until(until))[counted], 0.95)


def _slowest(recording: Recording) -> Iterable[SlowRequest]:
    response = np.round(np.where(recording.was_sent, recording.response, np.nan), 6)
    order = np.argsort(-np.nan_to_num(response, nan=-np.inf), kind="stable")[:SLOWEST]
    for index in order:
        row = int(index)
        if np.isnan(response[row]):
            return
        yield SlowRequest(
            trace_id=recording.trace_id(row),
            kind=recording.names[recording.kind[row]],
            planned_seconds=round(float(recording.planned[row]), 6),
            response_seconds=float(response[row]),
            service_seconds=round(float(recording.service[row]), 6),
            status=int(recording.status[row]) or None,
            error=recording.error(row),
        )
