"""Which of several policies is best on a trace, also on parts of it that it was not chosen on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from tidegate.autoscaler.sloq.parameters import PRIORITIES
from tidegate.lab.simulator.comparison import score_job
from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Trace, TraceError

DEFAULT: Final = "sloq"
CANDIDATES: Final = (
    DEFAULT,
    *(
        f"sloq:coverage={one['coverage']},wait_share={one['wait_share']}"
        for one in (PRIORITIES["latency"], PRIORITIES["cost"])
    ),
    "sloq:coverage=0.9",
    "sloq:coverage=0.98",
    "sloq:wait_share=0.2",
    "sloq:wait_share=0.6",
    "sloq:down_seconds=300",
    "sloq:down_seconds=90",
    "hpa:inflight=0.5,minute_mean=1",
    "hpa:inflight=0.6,minute_mean=1",
    "hpa:inflight=0.7,minute_mean=1",
    "hpa:inflight=0.8,minute_mean=1",
    "hpa:inflight=0.7",
    "kpa",
    "kpa:target_utilisation=0.5",
)
"""The default first: of equal ones, the first is chosen."""
LEAST_PART_SECONDS: Final = 600.0
FIRST_SECONDS: Final = 120.0
BUSY: Final = 0.7


@dataclass(frozen=True, slots=True)
class Total:
    """A policy over some parts of the trace, the mean of the seeds.

    Attributes:
        violation_seconds: 10 for each 10 s in which the objective was missed.
        replica_seconds: the cost.
        over_slo_ratio: the fraction of requests over the objective.
        cost_per_million: replica-seconds per million requests within the objective; 0 without any.
        price: replica-seconds and, each worth several of them, violation-seconds.
    """

    violation_seconds: float
    replica_seconds: float
    over_slo_ratio: float
    cost_per_million: float
    price: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What is best, and what that is worth on parts that it was not chosen on.

    Attributes:
        totals: of each policy, over the whole trace.
        line: the policies that no other one beats in both violations and cost.
        held_out: for each part, the policy chosen on the other parts.
        held_out_price: the sum of the prices of those choices, each on its part.
        default_price: that of the default policy.
        best: the policy to use: the cheapest, if choosing was worth it on the held-out parts.
    """

    totals: Mapping[str, Total]
    line: tuple[str, ...]
    held_out: tuple[str, ...]
    held_out_price: float
    default_price: float
    best: str


def parts_of(trace: Trace, count: int) -> list[Trace]:
    """The trace in parts of equal length, in order of time.

    Raises:
        TraceError: a part would be shorter than ten minutes.
    """
    if count < 2:
        raise TraceError(f"cross-validation needs at least 2 parts, got {count}")
    each = len(trace.rates) // count
    if each * trace.interval_seconds < LEAST_PART_SECONDS:
        raise TraceError(
            f"{trace.name}: {count} parts of a trace of {trace.seconds:.0f} s are shorter than"
            f" {LEAST_PART_SECONDS:.0f} s each; use a longer trace or fewer parts"
        )
    edges = [*(number * each for number in range(count)), len(trace.rates)]
    return [
        replace(_between(trace, begin, end), name=f"{trace.name}, part {number}")
        for number, (begin, end) in enumerate(pairwise(edges), start=1)
    ]


def _between(trace: Trace, begin: int, end: int) -> Trace:
    """These intervals of the trace, with what happens in them at the time since the first one began."""
    shift = begin * trace.interval_seconds
    return replace(
        trace,
        rates=trace.rates[begin:end],
        earlier=tuple(rates[begin:end] for rates in trace.earlier),
        slownesses=tuple(
            replace(one, start=one.start - shift, end=one.end - shift) for one in trace.slownesses
        ),
        blackouts=tuple(
            replace(one, start=one.start - shift, end=one.end - shift) for one in trace.blackouts
        ),
    )


def scores_of(
    policies: Sequence[str],
    parts: Sequence[Trace],
    system: System,
    seeds: int,
    *,
    workers: int | None = None,
) -> dict[str, list[list[Score]]]:
    """The scores by policy, part and seed. All policies get the same requests.

    Each part begins with the replicas that its first minutes need. Workers as for `compare_policies`.

    Raises:
        ValueError: a policy is invalid; raised before anything runs.
    """
    for policy in policies:
        simulated_policy(policy, system)
    jobs = [
        (policy, part, _begin(part, system), seed)
        for policy in policies
        for part in parts
        for seed in range(seeds)
    ]
    found = in_processes(score_job, jobs, workers)
    return {policy: [[next(found) for _ in range(seeds)] for _ in parts] for policy in policies}


def floor_of(
    parts: Sequence[Trace], system: System, seeds: int, *, workers: int | None = None
) -> float:
    """The violation-seconds that remain with the maximum of replicas ready at all times.

    Arguments as for `scores_of`.
    """
    most = replace(system, start=system.bounds.max)
    jobs = [("static", part, most, seed) for part in parts for seed in range(seeds)]
    scores = list(in_processes(score_job, jobs, workers))
    return sum(one.violation_seconds for one in scores) / seeds


def choose(scores: Mapping[str, Sequence[Sequence[Score]]], worth: float) -> Choice:
    """The best of the policies, with the proof on held-out parts.

    For each part in turn, the policy with the lowest price on all other parts is chosen, and pays its price
    on this part. If that is in sum not below what the default pays, the differences are those of single
    parts, and the default stays.

    Args:
        scores: by policy, part and seed; the default is among the policies.
        worth: the replica-seconds that a violation-second is worth.
    """
    of_part = {
        policy: [_total([part], worth) for part in parts] for policy, parts in scores.items()
    }
    totals = {policy: _total(parts, worth) for policy, parts in scores.items()}
    count = len(of_part[DEFAULT])

    def cheapest(without: int | None) -> str:
        return min(
            of_part,
            key=lambda policy: sum(
                part.price for number, part in enumerate(of_part[policy]) if number != without
            ),
        )

    held_out = tuple(cheapest(number) for number in range(count))
    paid = sum(of_part[policy][number].price for number, policy in enumerate(held_out))
    default = totals[DEFAULT].price
    return Choice(
        totals,
        tuple(policy for policy in totals if not _beaten(policy, totals)),
        *(held_out, paid, default),
        best=cheapest(None) if paid < default else DEFAULT,
    )


def _beaten(policy: str, totals: Mapping[str, Total]) -> bool:
    own = totals[policy]
    return any(
        other.violation_seconds <= own.violation_seconds
        and other.replica_seconds <= own.replica_seconds
        and (other.violation_seconds, other.replica_seconds)
        != (own.violation_seconds, own.replica_seconds)
        for other in totals.values()
    )


def _total(parts: Sequence[Sequence[Score]], worth: float) -> Total:
    seeds = sum(len(part) for part in parts) / len(parts)
    violations = sum(one.violation_seconds for part in parts for one in part) / seeds
    cost = sum(one.replica_seconds for part in parts for one in part) / seeds
    requests = sum(one.requests for part in parts for one in part) / seeds
    late = sum(one.over_slo_ratio * one.requests for part in parts for one in part) / seeds
    within = requests - late
    return Total(
        *(violations, cost),
        over_slo_ratio=late / requests if requests else 0.0,
        cost_per_million=1e6 * cost / within if within else 0.0,
        price=cost + worth * violations,
    )


def _begin(part: Trace, system: System) -> System:
    """The service as the time before the part has left it: with the replicas for its first minutes."""
    first = part.rates[: max(1, int(FIRST_SECONDS / part.interval_seconds))]
    slots = float(first.mean()) * system.service_seconds / BUSY
    return replace(system, start=system.bounds.clamp(math.ceil(slots / system.slots)))
