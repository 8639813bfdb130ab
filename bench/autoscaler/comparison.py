"""SLOQ against the better HPA on each trace and in sum, of what can be avoided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from bench.autoscaler.cells import FLOOR, HPAS, SLOQ
from bench.autoscaler.statistics import Estimate, ratio_of_sums
from tidegate.lab.simulator.score import BIN_SECONDS, Score

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

    def summed(of: Callable[[str], Sequence[float]]) -> list[float]:
        return [sum(seed) for seed in zip(*map(of, traces), strict=True)]

    late = summed(lambda trace: avoidable(table, SLOQ, trace))
    late_hpa = summed(lambda trace: avoidable(table, better_hpa(table, trace), trace))
    cost = summed(lambda trace: values(table[SLOQ, trace], "replica_seconds"))
    cost_hpa = summed(
        lambda trace: values(table[better_hpa(table, trace), trace], "replica_seconds")
    )
    return Against(ratio_of_sums(late, late_hpa), ratio_of_sums(cost, cost_hpa))
