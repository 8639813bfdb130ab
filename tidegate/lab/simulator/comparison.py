"""Compares policies: each on every trace with every seed, on all cores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from statistics import fmean
from typing import Any

from tidegate.lab.simulator.families import FAMILIES
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.run import Run
from tidegate.lab.simulator.score import Score, score
from tidegate.lab.simulator.simulated_policy import run_policy, simulated_policy
from tidegate.lab.simulator.system import System, at_operating_point
from tidegate.lab.simulator.traces import Trace


@dataclass(frozen=True, slots=True)
class TraceSpec:
    """A trace by name or path.

    Attributes:
        name: a name of `NAMED_TRACES`, or a path.
        peak: the rate in requests a second to rescale its maximum to; None: as it is.
        exact: whether each interval gets the trace's own number of requests, not a Poisson one of that mean.
        operating_point: of the service; None: that of the trace's family.
        given: changes of the service by name, which win; `minimum` and `maximum` are those of the bounds.
    """

    name: str
    peak: float | None = None
    exact: bool = False
    operating_point: str | None = None
    given: tuple[tuple[str, Any], ...] = ()

    def system(self, base: System) -> System:
        """The service that the trace meets: `base` with what the operating point changes."""
        family = FAMILIES.get(self.name)
        own = self.operating_point or (family.operating_point if family else "default")
        return at_operating_point(base, own, **dict(self.given))


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """The scores of a policy on a trace.

    `score` is the mean over the seeds.
    """

    policy: str
    trace: str
    score: Score
    scores: tuple[Score, ...] = ()


Job = tuple[str, Trace, System, int]
"""A policy expression, a trace, the service that it meets, and a seed."""


def compare_policies(
    policies: Sequence[str],
    traces: Sequence[TraceSpec],
    system: System,
    seeds: Iterable[int],
    *,
    workers: int | None = None,
) -> list[PolicyResult]:
    """Run every policy on every trace with every seed; all policies get the same requests.

    In one process per core, unless `workers` says otherwise; 1: in this process.

    Raises:
        ValueError: a policy or trace is invalid; raised before anything runs.
    """
    seeds = list(seeds)
    met = [(trace_of(spec), spec.system(system)) for spec in traces]
    for expression in policies:
        for _, own in met:
            simulated_policy(expression, own)
    jobs: list[Job] = [
        (expression, trace, own, seed)
        for trace, own in met
        for expression in policies
        for seed in seeds
    ]
    scores = list(in_processes(score_job, jobs, workers))
    found = []
    for first in range(0, len(jobs), len(seeds)):
        expression, trace, _, _ = jobs[first]
        of_all_seeds = tuple(scores[first : first + len(seeds)])
        found.append(PolicyResult(expression, trace.name, mean_score(of_all_seeds), of_all_seeds))
    return found


def run_one(expression: str, spec: TraceSpec, system: System, seed: int) -> Run:
    """A single run, in this process, of the service that the trace meets."""
    return run_policy(expression, trace_of(spec), spec.system(system), seed)


def score_job(job: Job) -> Score:
    """The score of a run, in this process."""
    _, _, system, _ = job
    return score(run_policy(*job), system.slo_seconds, slo_quantile=system.slo_quantile)


def mean_score(scores: Sequence[Score]) -> Score:
    """Of each value, the mean over the scores."""
    names = [field.name for field in fields(Score)]
    return Score(**{name: fmean(getattr(one, name) for one in scores) for name in names})


@lru_cache(maxsize=64)
def trace_of(spec: TraceSpec) -> Trace:
    """The trace of a specification.

    Raises:
        TraceError: there is none, or it is invalid.
    """
    trace = find_trace(spec.name, spec.peak)
    return replace(trace, arrivals=replace(trace.arrivals, counts="exact")) if spec.exact else trace
