"""The time series of a run, as the plots show them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from tidegate.loadgen.plan.request_kinds import Until
from tidegate.loadgen.report.replica_signals import Sample, Signals
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.send.record import Floats, Mask, Recording

WIDTHS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
MAX_BINS: Final = 150
MIN_REQUESTS_PER_BIN: Final = 10
"""Bins are wide enough to contain at least this number of requests on average."""
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class RunSeries:
    """The binned time series of a run. Times are in seconds since its start; empty bins are NaN."""

    end: float
    width: float
    edges: Floats
    """The edges of the bins; one more than the number of bins."""
    times: Floats
    """The middle of each bin."""
    planned: Floats
    sent: Floats
    answered: Floats
    failed: Floats
    """These four are in requests per second, by planned time, by send time, and the last two by end time."""
    failed_ratio: Floats
    """The fraction of the requests planned in the bin that failed."""
    quantiles: Mapping[str, Floats]
    """p50, p95 and p99 of the response times of the requests planned in the bin; failed ones are infinite."""
    p95_of: Mapping[str, Floats]
    """The same p95 for each kind of request."""
    good: tuple[Floats, Floats]
    """Planned time and response time of each successful request."""
    bad: tuple[Floats, Floats]
    """Planned time and time until the failure of each sent request that failed."""
    slo: float | None
    until: Until
    """The byte of a response at which its response time ends."""
    breaches: tuple[Span, ...]
    """The spans in which p95 exceeded the objective."""
    signals: Signals


def run_series(summary: Summary, recording: Recording, signals: Signals) -> RunSeries:
    """Return the time series of a run."""
    ended = recording.ended
    finished = recording.finished[~np.isnan(recording.finished)]
    last = float(finished.max()) if finished.size else 0.0
    end = max(summary.duration_seconds, last, 1.0)
    width = bin_width(end, len(recording))
    edges = np.arange(0.0, end + width, width)
    middle = (edges[:-1] + edges[1:]) / 2
    failed = recording.failed
    good, bad = ended & ~failed, failed & recording.was_sent
    by_quantile = {
        name: binned_quantile(recording, ended, edges, q)
        for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    planned = _count(recording.planned, edges)
    slo = summary.slo_seconds
    return RunSeries(
        end=end,
        width=width,
        edges=edges,
        times=middle,
        planned=planned / width,
        sent=_count(recording.sent, edges) / width,
        answered=_count(recording.finished[recording.answered], edges) / width,
        failed=_count(recording.finished[failed], edges) / width,
        failed_ratio=_ratio(_count(recording.planned[failed], edges), planned),
        quantiles=by_quantile,
        p95_of={
            kind: binned_quantile(recording, ended & mask, edges, 0.95)
            for kind, mask in recording.by_kind()
        },
        good=(recording.planned[good], recording.response[good]),
        bad=(recording.planned[bad], recording.response[bad]),
        slo=slo,
        until=recording.until,
        breaches=tuple(spans_over(middle, by_quantile["p95"], slo, width)) if slo else (),
        signals=signals,
    )


def as_json(run: RunSeries) -> str:
    """Return the series for another program: the width of a bin in seconds, and a value for each bin.

    Rates are in requests per second, quantiles in seconds; None is a bin without requests, or a quantile
    within the failed ones.
    """
    columns = {name: getattr(run, name) for name in ("planned", "sent", "answered", "failed")}
    values = {
        name: [round(value, 6) if math.isfinite(value) else None for value in column.tolist()]
        for name, column in {**columns, **run.quantiles}.items()
    }
    return json.dumps({"width": run.width, **values}) + "\n"


def bin_width(end: float, requests: int) -> float:
    """Return the smallest of WIDTHS with neither too many bins nor too few requests per bin."""
    for width in WIDTHS:
        enough = requests * width / end >= MIN_REQUESTS_PER_BIN or width >= end / 10
        if enough and end / width <= MAX_BINS:
            return float(width)
    return float(WIDTHS[-1])


def binned_quantile(recording: Recording, mask: Mask, edges: Floats, q: float) -> Floats:
    """Return a quantile of the requests planned in each bin; failed ones are infinite, empty bins NaN."""
    bins = np.digitize(recording.planned[mask], edges) - 1
    response = recording.response_or_infinity[mask]
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], np.arange(len(edges)))
    sorted_response = response[order]
    values = np.full(len(edges) - 1, np.nan)
    for index in range(len(edges) - 1):
        chosen = sorted_response[starts[index] : starts[index + 1]]
        if chosen.size:
            values[index] = np.quantile(chosen, q, method="inverted_cdf")
    return values


def spans_over(times: Floats, values: Floats, limit: float, width: float) -> Iterator[Span]:
    """Return the spans in which values exceed a limit; a gap of one bin does not end a span."""
    begin = finish = None
    for middle, value in zip(times.tolist(), values.tolist(), strict=True):
        if not value > limit:
            continue
        if finish is not None and begin is not None and middle - width / 2 > finish + 1.5 * width:
            yield begin, finish
            begin = None
        begin = middle - width / 2 if begin is None else begin
        finish = middle + width / 2
    if begin is not None and finish is not None:
        yield begin, finish


def rises(samples: list[Sample]) -> Iterator[Sample]:
    """Return the time and the new value of each increase of a series."""
    for (_, before), (at, after) in pairwise(samples):
        if after > before:
            yield at, after


def narrative(run: RunSeries) -> list[str]:
    """Describe the run in sentences: when the objective was missed and met, and when replicas were added."""
    sentences: list[str] = []
    if run.slo is not None:
        objective = f"the objective of {run.slo * 1e3:.0f} ms"
        if not run.breaches:
            sentences.append(f"p95 stayed within {objective} during the whole run.")
        else:
            begin, finish = run.breaches[0][0], run.breaches[-1][1]
            sentences.append(f"p95 exceeded {objective} after {begin:.0f} s.")
    ready = run.signals.ready
    up = list(rises(ready))
    if up:
        steps = ", ".join(f"{value:.0f} after {at:.0f} s" for at, value in up)
        sentences.append(f"The number of ready replicas rose from {ready[0][1]:.0f} to {steps}.")
    elif ready:
        sentences.append(f"The number of ready replicas stayed at {ready[0][1]:.0f}.")
    if run.breaches:
        last_planned = run.times[run.planned > 0]
        if last_planned.size and finish < last_planned[-1]:
            sentences.append(f"From {finish:.0f} s on, p95 stayed within the objective.")
        else:
            sentences.append("At the end p95 was still above the objective.")
    return sentences


def _count(times: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(times[~np.isnan(times)], bins=edges)
    return counts.astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio
