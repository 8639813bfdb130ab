"""The requests of a trace: arrival times and times in a slot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Arrivals, Floats, Trace


@dataclass(frozen=True, eq=False, slots=True)
class Workload:
    """Requests in order of arrival: arrival time and time in a slot, in seconds."""

    arrivals: Floats
    services: Floats


def generate_workload(trace: Trace, system: System, seed: int) -> Workload:
    """Generate the requests of a trace. The same arguments give the same requests.

    By default the number in each interval is Poisson and their times are uniform, which is a Poisson process
    of that rate; `Trace.arrivals` has other processes. The time in a slot is lognormal with the kind's mean m
    and the system's cv: exp(N(ln m - σ²/2, σ²)) with σ² = ln(1 + cv²).
    """
    random = np.random.default_rng(seed)
    counts = _counts(trace, random)
    begins = np.arange(len(counts)) * trace.interval_seconds
    total = int(counts.sum())
    within = random.random(total) * trace.interval_seconds
    if trace.arrivals.together:
        within[:] = 0.0
    arrivals = np.repeat(begins, counts) + within
    arrivals.sort()

    shares = np.array([kind.share for kind in system.kinds])
    means = np.array([kind.service_seconds for kind in system.kinds])
    of_kind = random.choice(len(means), size=total, p=shares / shares.sum())
    return Workload(arrivals, _services(means[of_kind], system.service_cv, random))


def _counts(trace: Trace, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """The number of requests in each interval."""
    process = trace.arrivals
    expected = trace.rates * trace.interval_seconds
    if process.noise_cv > 0:
        expected = expected * _noise(process, trace.interval_seconds, len(expected), random)
    if process.counts == "exact":
        return np.diff(np.floor(np.cumsum(expected) + 0.5), prepend=0.0).astype(np.int64)
    if process.counts == "clumped" and process.dispersion > 1:
        # A negative binomial of n successes at probability p has mean n(1 - p)/p and variance mean/p.
        rates = random.gamma(np.maximum(expected, 1e-9) / (process.dispersion - 1))
        expected = rates * (process.dispersion - 1)
    return random.poisson(expected)


def _noise(
    process: Arrivals, interval_seconds: float, length: int, random: np.random.Generator
) -> Floats:
    """A lognormal factor of mean 1 for each interval: the exponential of a first-order autoregression."""
    sigma = math.sqrt(math.log1p(process.noise_cv**2))
    kept = math.exp(-interval_seconds / process.noise_seconds)
    steps = random.normal(0.0, sigma * math.sqrt(1 - kept * kept), length)
    level, levels = random.normal(0.0, sigma), np.empty(length)
    for number, step in enumerate(steps.tolist()):
        level = kept * level + step
        levels[number] = level
    return np.exp(levels - sigma * sigma / 2)


def workload_from_plan(arrivals: Floats, means: Floats, service_cv: float, seed: int) -> Workload:
    """The requests of a load generator's plan, whose arrivals and kinds are known.

    Times are in seconds; the means are those of the kind of each request, varied as in `generate_workload`.
    """
    return Workload(arrivals, _services(means, service_cv, np.random.default_rng(seed)))


def _services(means: Floats, cv: float, random: np.random.Generator) -> Floats:
    sigma = math.sqrt(math.log1p(cv**2))
    return means * random.lognormal(-sigma * sigma / 2, sigma, len(means))
