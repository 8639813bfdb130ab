"""SLOQ against the better HPA on each trace and in sum, of what can be avoided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from bench.autoscaler.cells import BASELINES, FLOOR, HPAS, SLOQ
from bench.autoscaler.statistics import Estimate, mean_of, ratio_of_sums
from tidegate.lab.simulator.score import BIN_SECONDS, Score

Scores = Mapping[tuple[str, str], Sequence[Score]]
"""By policy and trace, of the same seeds in the same order."""

VIOLATIONS_BAR: Final = 0.6
COST_BAR: Final = 0.9
FAMILY_BAR: Final = 1.1


@dataclass(frozen=True, slots=True)
class Against:
    """A policy against the better HPA, on one trace or in sum.

    Attributes:
        violations: the ratio of avoidable violation-seconds.
        cost: the ratio of replica-seconds.
        excess: violation-seconds beyond 1.1 times those of HPA, of all, not only the avoidable ones.
    """

    violations: Estimate
    cost: Estimate
    excess: Estimate


@dataclass(frozen=True, slots=True)
class Dominance:
    """A baseline with fewer violations and a lower cost in the mean; sure if both intervals say so."""

    policy: str
    trace: str
    violations: Estimate
    cost: Estimate

    @property
    def sure(self) -> bool:
        """Whether both differences, baseline less SLOQ, lie below 0 with their intervals."""
        return self.violations.high < 0 and self.cost.high < 0


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


def against_hpa(table: Scores, traces: Sequence[str], policy: str = SLOQ) -> Against:
    """A policy against the better HPA of each of the traces, in sum over them."""

    def summed(of: Callable[[str], Sequence[float]]) -> list[float]:
        return [sum(seed) for seed in zip(*map(of, traces), strict=True)]

    late = summed(lambda trace: avoidable(table, policy, trace))
    late_hpa = summed(lambda trace: avoidable(table, better_hpa(table, trace), trace))
    cost = summed(lambda trace: values(table[policy, trace], "replica_seconds"))
    cost_hpa = summed(
        lambda trace: values(table[better_hpa(table, trace), trace], "replica_seconds")
    )
    floor = summed(lambda trace: values(table[FLOOR, trace], "violation_seconds"))
    return Against(
        ratio_of_sums(late, late_hpa),
        ratio_of_sums(cost, cost_hpa),
        mean_of(
            [
                own + least - FAMILY_BAR * (hpa + least)
                for own, hpa, least in zip(late, late_hpa, floor, strict=True)
            ]
        ),
    )


def dominances(table: Scores, traces: Sequence[str]) -> list[Dominance]:
    """The baselines that are better than SLOQ in both on a trace, in the mean."""
    found = []
    for trace in traces:
        for policy in BASELINES:
            differences = [
                mean_of(
                    [
                        other - own
                        for other, own in zip(
                            values(table[policy, trace], name),
                            values(table[SLOQ, trace], name),
                            strict=True,
                        )
                    ]
                )
                for name in ("violation_seconds", "replica_seconds")
            ]
            if all(difference.value < 0 for difference in differences):
                found.append(Dominance(policy, trace, *differences))
    return found


@dataclass(frozen=True, slots=True)
class Half:
    """Settings chosen on some traces, and how they did on the others."""

    chosen: str
    on: tuple[str, ...]
    reported: tuple[str, ...]
    there: Against


def halves(table: Scores, traces: Sequence[str], settings: Sequence[str]) -> list[Half]:
    """Every second trace, and the other half: settings are chosen on one, reported on the other; swapped.

    Chosen are those with the fewest avoidable violation-seconds of the settings that cost at most 0.9 times
    the better HPA; the cheapest, if none does.
    """
    parts = (tuple(traces[::2]), tuple(traces[1::2]))
    found = []
    for on, reported in (parts, parts[::-1]):
        scores = {policy: against_hpa(table, on, policy) for policy in settings}
        cheap = [policy for policy in settings if scores[policy].cost.value <= COST_BAR]
        if cheap:
            chosen = min(cheap, key=lambda policy: scores[policy].violations.value)
        else:
            chosen = min(settings, key=lambda policy: scores[policy].cost.value)
        found.append(Half(chosen, on, reported, against_hpa(table, reported, chosen)))
    return found
