"""Scores a run: violations of the objective, cost, and stability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.lab.simulator.run import Run
from tidegate.lab.simulator.traces import Floats

BIN_SECONDS: Final = 10.0
REVERSAL_SECONDS: Final = 600.0


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a run.

    Attributes:
        violation_seconds: 10 for each 10 s bin of arrivals whose p95 response time exceeds the objective.
        replica_seconds: the cost.
        reversals: changes of the number of replicas opposite to the previous one, within 10 minutes.
        over_slo_ratio: the fraction of requests that took longer than the objective.
        cost_per_million: replica-seconds per million requests within the objective; 0 without any.
        requests: their number.
    """

    violation_seconds: float
    replica_seconds: float
    reversals: float
    over_slo_ratio: float
    cost_per_million: float = 0.0
    requests: float = 0.0


def score(run: Run, slo_seconds: float, *, slo_quantile: float = 0.95) -> Score:
    """The run's score against an objective in seconds."""
    _, p95 = binned(run, slo_quantile)
    late = int((run.responses > slo_seconds).sum())
    within = len(run.responses) - late
    return Score(
        violation_seconds=BIN_SECONDS * int((p95 > slo_seconds).sum()),
        replica_seconds=run.replica_seconds,
        reversals=reversals([(t.at, t.decision.desired - t.signals.desired) for t in run.ticks]),
        over_slo_ratio=late / max(1, len(run.responses)),
        cost_per_million=1e6 * run.replica_seconds / within if within else 0.0,
        requests=len(run.responses),
    )


def binned(run: Run, quantile: float) -> tuple[Floats, Floats]:
    """The middle of each bin with requests, and the quantile of their response times.

    The quantile is that of the nearest rank, a response that occurred: the smallest that at least this
    fraction of the bin does not exceed. An interpolated one of few requests would be mostly their slowest. A
    bin holds the requests that arrived in it, whenever they were served.
    """
    bins = (run.arrivals // BIN_SECONDS).astype(np.int64)
    numbers, begins = np.unique(bins, return_index=True)
    parts = np.split(run.responses, begins[1:]) if len(numbers) else []
    values = np.array([_nearest_rank(part, quantile) for part in parts], np.float64)
    return (numbers.astype(np.float64) + 0.5) * BIN_SECONDS, values


def _nearest_rank(values: Floats, quantile: float) -> float:
    # 0.95 times 20 may be a hair above 19.
    rank = max(0, math.ceil(quantile * len(values) - 1e-9) - 1)
    return float(np.partition(values, rank)[rank])


def reversals(changes: Sequence[tuple[float, int]]) -> int:
    """The number of changes opposite to the previous one, at most 10 minutes earlier.

    Args:
        changes: time in seconds and change of the number of replicas, in order; 0: no change.
    """
    count, before = 0, (-np.inf, 0)
    for at, by in changes:
        if by:
            count += by * before[1] < 0 and at - before[0] <= REVERSAL_SECONDS
            before = (at, by)
    return count
