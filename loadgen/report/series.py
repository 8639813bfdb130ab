"""A run in the course of time: what the plots show, as arrays. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS, RequestKind
from tidegate.loadgen.report.replica_signals import Sample, Signals
from tidegate.loadgen.report.summary import Summary
from tidegate.loadgen.send.record import Floats, Mask, Recording

WIDTHS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
MAX_BINS: Final = 150
FEW: Final = 10
"""A quantile of fewer requests than this in a bin would be noise, so bins are wider."""
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Course:
    """The run, binned. Times are seconds since its start; NaN where a bin has nothing."""

    end: float
    width: float
    edges: Floats
    """The bounds of the bins, one more than there are bins."""
    times: Floats
    """The middle of each bin."""
    planned: Floats
    sent: Floats
    answered: Floats
    failed: Floats
    """These four in requests a second: planned by planned time, sent by sending, the others by end."""
    failed_ratio: Floats
    """Of the requests planned in the bin."""
    quantiles: Mapping[str, Floats]
    """Response time of the requests planned in the bin: p50, p95, p99; infinite among the failed."""
    p95_of: Mapping[RequestKind, Floats]
    """The same, p95, of each kind."""
    good: tuple[Floats, Floats]
    """Planned time and response time of each good answer."""
    bad: tuple[Floats, Floats]
    """The same of each request that was sent and failed: the time until it did."""
    slo: float | None
    breaches: tuple[Span, ...]
    """When p95 was over the objective."""
    signals: Signals


def course(recording: Recording, signals: Signals, summary: Summary) -> Course:
    """The course of a run."""
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
    return Course(
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
            for kind in REQUEST_KINDS
            if (mask := recording.of_kind(kind)).any()
        },
        good=(recording.planned[good], recording.response[good]),
        bad=(recording.planned[bad], recording.response[bad]),
        slo=slo,
        breaches=tuple(spans_over(middle, by_quantile["p95"], slo, width)) if slo else (),
        signals=signals,
    )


def bin_width(end: float, requests: int) -> float:
    """Seconds a bin: the least of a clock's divisions with neither too many bins nor too few requests."""
    for width in WIDTHS:
        enough = requests * width / end >= FEW or width >= end / 10
        if enough and end / width <= MAX_BINS:
            return float(width)
    return float(WIDTHS[-1])


def binned_quantile(recording: Recording, mask: Mask, edges: Floats, q: float) -> Floats:
    """A quantile of the requests planned in each bin: infinite among the failed, NaN where there are none."""
    bins = np.digitize(recording.planned[mask], edges) - 1
    response = recording.felt[mask]
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
    """The spans in which values are over a limit; a gap of one bin does not end a span."""
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
    """Where a series rose: the time and the new value."""
    for (_, before), (at, after) in pairwise(samples):
        if after > before:
            yield at, after


def story(course: Course) -> list[str]:
    """What happened, in sentences: when the objective was missed, when replicas rose, when it was kept."""
    told: list[str] = []
    if course.slo is not None:
        objective = f"the objective of {course.slo * 1e3:.0f} ms"
        if not course.breaches:
            told.append(f"p95 stayed within {objective} all the time.")
        else:
            begin, finish = course.breaches[0][0], course.breaches[-1][1]
            told.append(f"p95 went over {objective} after {begin:.0f} s.")
    ready = course.signals.ready
    up = list(rises(ready))
    if up:
        steps = ", ".join(f"{value:.0f} after {at:.0f} s" for at, value in up)
        told.append(f"Ready replicas rose from {ready[0][1]:.0f} to {steps}.")
    elif ready:
        told.append(f"Ready replicas stayed at {ready[0][1]:.0f}.")
    if course.breaches:
        last_planned = course.times[course.planned > 0]
        if last_planned.size and finish < last_planned[-1]:
            told.append(f"p95 was back within it after {finish:.0f} s and stayed there.")
        else:
            told.append("p95 was not back within it at the end.")
    return told


def _count(times: Floats, edges: Floats) -> Floats:
    counts, _ = np.histogram(times[~np.isnan(times)], bins=edges)
    return counts.astype(np.float64)


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio: Floats = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio
