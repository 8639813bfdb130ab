"""Simulates a live run: the same requests, slots, service times, start-up time and ticks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

import numpy as np

from bench.running.measured import LiveRun
from tidegate.lab.simulator.comparison import mean_score
from tidegate.lab.simulator.run import Run, simulate
from tidegate.lab.simulator.score import Score, reversals, score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.system import RequestKind, System
from tidegate.lab.simulator.traces import Trace
from tidegate.lab.simulator.workload import workload_from_plan

INTERVAL_SECONDS: Final = 0.5
# Idle time before the load, as on the live stack, so that no policy starts without signals.
LEAD_SECONDS: Final = 60.0
# HAProxy checks every 0.5 s whether a replica is ready: half of that on average.
GATEWAY_SECONDS: Final = 0.25
SCRAPES: Final = (1.0, 2.0, 2.5, 4.0, 5.0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction of one live run.

    Attributes:
        system: the simulated system.
        scores: one per seed.
        runs: the simulated runs, with times since the start of the load.
    """

    system: System
    scores: list[Score]
    runs: list[Run]

    @property
    def mean(self) -> Score:
        """The mean over the seeds."""
        return mean_score(self.scores)


def predict(live: LiveRun, rates: Sequence[float], base: System, seeds: int) -> Prediction:
    """Simulate the scenario of a live run.

    Args:
        live: the run; only its plan, service times, start-up time and ticks are used.
        rates: the scenario's requests a second in each interval of `INTERVAL_SECONDS`.
        base: slots, bounds and objective.
        seeds: the number of runs, each with other times in a slot and another scrape phase.
    """
    system = measured_system(live, base)
    built = simulated_policy(live.policy, system)
    every = built.tick_seconds
    # The load begins as long before a tick as it did live.
    phase = next(at for at, _, _ in live.decisions if at >= 0) % every
    lead = LEAD_SECONDS + round((-phase % every) / INTERVAL_SECONDS) * INTERVAL_SECONDS
    quiet = np.zeros(round(lead / INTERVAL_SECONDS))
    trace = Trace(live.scenario, INTERVAL_SECONDS, np.concatenate([quiet, np.array(rates)]))
    arrivals = np.array(live.arrivals) + lead
    means = np.array([fmean(live.services[kind]) for kind in live.kinds])
    runs = []
    for seed in range(seeds):
        workload = workload_from_plan(arrivals, means, system.service_cv, seed)
        # The scrape time between two ticks is random, so each seed has another phase.
        phase = system.scrape_seconds * seed / seeds
        run = simulate(
            built.policy,
            trace,
            replace(system, scrape_phase_seconds=phase),
            seed=seed,
            tick_seconds=every,
            uses_gateway=built.uses_gateway,
            workload=workload,
        )
        runs.append(_since(run, lead, system))
    return Prediction(system, [score_of(run, system) for run in runs], runs)


def measured_system(live: LiveRun, base: System) -> System:
    """The system with the service times, the start-up time and the signal age of a live run."""
    means = {kind: fmean(times) for kind, times in live.services.items()}
    ratios = np.concatenate([np.array(live.services[kind]) / means[kind] for kind in means])
    return replace(
        base,
        kinds=tuple(RequestKind(len(live.services[kind]), means[kind]) for kind in means),
        service_cv=float(ratios.std()),
        startup_seconds=live.startup_seconds + GATEWAY_SECONDS,
        scrape_seconds=scrape_seconds(live.signal_age_seconds),
    )


def scrape_seconds(age: float) -> float:
    """The simulated scrape interval that gives this mean signal age, at ticks every 5 s."""
    return min(SCRAPES, key=lambda one: abs(_mean_age(one) - age))


def _mean_age(scrape: float) -> float:
    return fmean(now - (math.ceil(now / scrape) - 1) * scrape for now in range(5, 305, 5))


def score_of(run: Run, system: System) -> Score:
    """The score of a run with times since the start of the load."""
    return score(run, system.slo_seconds, slo_quantile=system.slo_quantile)


def live_score(live: LiveRun, seconds: float, system: System) -> Score:
    """The score of a live run."""
    changes = [(at, change) for at, change, _ in live.decisions if 0 <= at < seconds]
    return replace(score_of(as_run(live, seconds), system), reversals=reversals(changes))


def as_run(live: LiveRun, seconds: float) -> Run:
    """A live run as a run of the simulator, without ticks."""
    arrivals, responses = np.array(live.arrivals), np.array(live.responses)
    return Run(seconds, arrivals, responses, [], live.replica_seconds(seconds))


def _since(run: Run, lead: float, system: System) -> Run:
    """The run from the start of the load. Until then the number of replicas was that at the start."""
    return Run(
        run.seconds - lead,
        run.arrivals - lead,
        run.responses,
        [replace(tick, at=tick.at - lead) for tick in run.ticks],
        run.replica_seconds - lead * system.start,
    )


def mean_times(kinds: Mapping[str, Sequence[float]]) -> str:
    """The mean times as text."""
    return ", ".join(f"{kind} {fmean(times):.3f} s" for kind, times in sorted(kinds.items()))
