"""The requests of a trace: arrival times and times in a slot."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tidegate.autoscaler.simulator.system import System
from tidegate.autoscaler.simulator.traces import Floats, Trace


@dataclass(frozen=True, eq=False, slots=True)
class Workload:
    """Requests in order of arrival: arrival time and time in a slot, in seconds."""

    arrivals: Floats
    services: Floats


def generate_workload(trace: Trace, system: System, seed: int) -> Workload:
    """Generate the requests of a trace. The same arguments give the same requests.

    In each interval their number is Poisson and their times are uniform, which is a Poisson process of that
    rate. The time in a slot is lognormal with the kind's mean m and the system's cv: exp(N(ln m - σ²/2, σ²))
    with σ² = ln(1 + cv²).
    """
    random = np.random.default_rng(seed)
    counts = random.poisson(trace.rates * trace.interval_seconds)
    begins = np.arange(len(counts)) * trace.interval_seconds
    total = int(counts.sum())
    arrivals = np.repeat(begins, counts) + random.random(total) * trace.interval_seconds
    arrivals.sort()

    shares = np.array([kind.share for kind in system.kinds])
    means = np.array([kind.service_seconds for kind in system.kinds])
    of_kind = random.choice(len(means), size=total, p=shares / shares.sum())
    return Workload(arrivals, _services(means[of_kind], system.service_cv, random))


def workload_from_plan(arrivals: Floats, means: Floats, service_cv: float, seed: int) -> Workload:
    """The requests of a load generator's plan, whose arrivals and kinds are known.

    Args:
        arrivals: in seconds, ascending.
        means: for each, the mean time in a slot of its kind, in seconds.
        service_cv: coefficient of variation of that time, as in `generate_workload`.
        seed: of that variation.
    """
    return Workload(arrivals, _services(means, service_cv, np.random.default_rng(seed)))


def _services(means: Floats, cv: float, random: np.random.Generator) -> Floats:
    sigma = math.sqrt(math.log1p(cv**2))
    return means * random.lognormal(-sigma * sigma / 2, sigma, len(means))
