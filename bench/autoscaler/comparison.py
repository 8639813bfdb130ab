"""SLOQ against the better HPA on each trace and in sum, of what can be avoided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from bench.autoscaler.statistics import Estimate, ratio_of_sums
from bench.results import Result, result
from tidegate.lab.simulator.score import BIN_SECONDS, Score

SLOQ: Final = "sloq"
# The second reads the mean of a minute: cheaper on steady traffic.
HPAS: Final = ("hpa:inflight=0.7", "hpa:inflight=0.7,minute_mean=1")
BASELINES: Final = (*HPAS, "kpa", "ray-serve", "keda", "step")
FLOOR: Final = "static"
"""As many replicas as allowed at all times: what no scaler can avoid."""
POLICIES: Final = (SLOQ, FLOOR, *BASELINES)

Scores = Mapping[tuple[str, str], Sequence[Score]]
"""By policy and trace, of the same seeds in the same order."""


@dataclass(frozen=True, slots=True)
class Against:
    """SLOQ against the better HPA, on one trace or in sum.

    Attributes:
        violations: the ratio of avoidable violation-seconds.
        cost: the ratio of replica-seconds.
    """

    violations: Estimate
    cost: Estimate


def values(scores: Sequence[Score], name: str) -> list[float]:
    """A field of the scores, seed by seed."""
    return [float(getattr(score, name)) for score in scores]


def avoidable(table: Scores, policy: str, trace: str) -> list[float]:
    """The violation-seconds of a policy less those of as many replicas as allowed, seed by seed."""
    floor = values(table[FLOOR, trace], "violation_seconds")
    own = values(table[policy, trace], "violation_seconds")
    return [one - least for one, least in zip(own, floor, strict=True)]


def better_hpa(table: Scores, trace: str) -> str:
    """The HPA with fewer violations; the cheaper one if they differ by less than one bin of the score."""

    def mean(name: str) -> Callable[[str], float]:
        return lambda policy: fmean(values(table[policy, trace], name))

    violations, cost = mean("violation_seconds"), mean("replica_seconds")
    fewest = min(map(violations, HPAS))
    return min((one for one in HPAS if violations(one) < fewest + BIN_SECONDS), key=cost)


def against_hpa(table: Scores, traces: Sequence[str]) -> Against:
    """SLOQ against the better HPA of each of the traces, in sum over them."""
    late, late_hpa, cost, cost_hpa = _summed(table, traces)
    return Against(ratio_of_sums(late, late_hpa), ratio_of_sums(cost, cost_hpa))


def results_of(table: Scores, traces: Sequence[str], title: str) -> list[Result]:
    """The same, to be saved."""
    late, late_hpa, cost, cost_hpa = _summed(table, traces)
    return [
        estimated(f"{title}: avoidable violation-seconds against the better HPA", late, late_hpa),
        estimated(f"{title}: replica-seconds against the better HPA", cost, cost_hpa),
    ]


def _summed(table: Scores, traces: Sequence[str]) -> list[list[float]]:
    """Seed by seed: avoidable violation-seconds of SLOQ and of HPA, then replica-seconds of both."""
    own, hpa = dict.fromkeys(traces, SLOQ), {trace: better_hpa(table, trace) for trace in traces}
    each = [
        *(
            [avoidable(table, policies[trace], trace) for trace in traces]
            for policies in (own, hpa)
        ),
        *(
            [values(table[policies[trace], trace], "replica_seconds") for trace in traces]
            for policies in (own, hpa)
        ),
    ]
    return [[sum(seed) for seed in zip(*one, strict=True)] for one in each]


def estimated(name: str, ours: Sequence[float], peer: Sequence[float]) -> Result:
    """Means over the seeds or draws in seconds, with the ratio of their sums and its interval."""
    found = ratio_of_sums(ours, peer)
    edges = (found.low, found.high) if math.isfinite(found.high) else (found.value, found.value)
    measured = result(name, [fmean(ours)], [fmean(peer)], unit="s")
    spread = (round(edges[0], 3), round(edges[1], 3))
    return replace(measured, spread=spread) if measured.ratio else measured
