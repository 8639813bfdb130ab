"""Traffic and services drawn from wide ranges, which no setting was chosen for.

Each number is another draw: a shape of the rate with its own periods, heights and noise, and a service with
its own slots, times, start-up time and objective. The ranges are what services of machine learning have, from
a tree ensemble in 20 ms to a language model in 2 s; nothing in them is taken from the named traces.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.system import RequestKind, System
from tidegate.lab.simulator.traces import Arrivals, Floats, Slowness, Trace

MAX_REQUESTS: Final = 150_000
"""Draws with more are drawn again, so that a bench of hundreds ends."""
MIN_REQUESTS: Final = 500
INTERVAL_SECONDS: Final = 5.0

Random = np.random.Generator
Shape = Callable[[Random, Floats], Floats]
"""The rate in [0, 1] of the peak at these times in seconds."""


@dataclass(frozen=True, slots=True)
class Draw:
    """A trace and the service that it meets."""

    trace: Trace
    system: System


def draw(number: int) -> Draw:
    """The draw of this number, always the same."""
    random = np.random.default_rng([2026, number])
    while True:
        found = _one(random, number)
        total = float(found.trace.rates.sum()) * found.trace.interval_seconds
        if MIN_REQUESTS <= total <= MAX_REQUESTS:
            return found


def _one(random: Random, number: int) -> Draw:
    names = list(SHAPES)
    name = names[int(random.integers(len(names)))]
    times = np.arange(0.0, random.uniform(1.0, 3.0) * 3600, INTERVAL_SECONDS)
    base = random.uniform(0.0, 0.6)
    shape = base + (1 - base) * SHAPES[name](random, times)
    system, rate = _service(random)
    trace = Trace(
        f"{number}-{name}",
        INTERVAL_SECONDS,
        rate * shape,
        _slowness(random, len(times) * INTERVAL_SECONDS),
        arrivals=_arrivals(random),
    )
    return Draw(trace, system)


def _service(random: Random) -> tuple[System, float]:
    """A service, and the highest rate in requests a second: one that 1 to 20 replicas serve at two thirds."""
    seconds, cv = _log(random, 0.02, 2.0), random.uniform(0.0, 2.0)
    slots = int(random.choice([1, 2, 4, 8, 16]))
    replicas = _log(random, 1.0, 20.0)
    sigma = math.sqrt(math.log1p(cv * cv))
    p95 = seconds * math.exp(1.645 * sigma - sigma * sigma / 2)
    system = System(
        slots=slots,
        kinds=(RequestKind(1.0, seconds),),
        service_cv=cv,
        slo_seconds=float(f"{p95 * random.uniform(1.3, 5.0):.2g}"),
        startup_seconds=_log(random, 5.0, 180.0),
        startup_cv=random.uniform(0.0, 0.3),
        bounds=Bounds(1, math.ceil(1.5 * replicas) + 2),
        start=1,
    )
    return system, replicas * slots * 2 / 3 / seconds


def _arrivals(random: Random) -> Arrivals:
    clumped = random.random() < 1 / 3
    return Arrivals(
        "clumped" if clumped else "poisson",
        dispersion=_log(random, 1.5, 15.0) if clumped else 1.0,
        noise_cv=random.uniform(0.0, 0.5),
        noise_seconds=_log(random, 10.0, 300.0),
    )


def _slowness(random: Random, seconds: float) -> tuple[Slowness, ...]:
    """In one of six draws, a time in which requests take longer."""
    if random.random() > 1 / 6:
        return ()
    begin = random.uniform(0.1, 0.7) * seconds
    return (Slowness(begin, begin + random.uniform(300.0, 1800.0), random.uniform(1.2, 2.5)),)


def _log(random: Random, low: float, high: float) -> float:
    """Uniform in the logarithm."""
    return float(math.exp(random.uniform(math.log(low), math.log(high))))


def _flat(_: Random, t: Floats) -> Floats:
    return np.ones_like(t)


def _levels(random: Random, t: Floats) -> Floats:
    """Another level each few minutes."""
    lasts = _log(random, 120.0, 1200.0)
    levels = random.uniform(0.0, 1.0, math.ceil(float(t[-1]) / lasts) + 1)
    found: Floats = (levels / levels.max())[(t // lasts).astype(int)]
    return found


def _waves(random: Random, t: Floats) -> Floats:
    period = _log(random, 900.0, 3 * 3600.0)
    return 0.5 - 0.5 * np.cos(2 * np.pi * (t / period + random.random()))


def _ramp(random: Random, t: Floats) -> Floats:
    """Up within minutes to an hour, and down again within as long."""
    takes = _log(random, 120.0, 3600.0)
    middle = random.uniform(0.3, 0.7) * t[-1]
    found: Floats = np.clip(1.0 - np.abs(t - middle) / takes, 0.0, 1.0)
    return found


def _bursts(random: Random, t: Floats) -> Floats:
    """Of one length and height, periodic or at random times."""
    every, length = _log(random, 120.0, 1800.0), _log(random, 10.0, 120.0)
    if random.random() < 0.5:
        begins = np.arange(random.uniform(0.0, every), float(t[-1]) + every, every)
    else:
        begins = np.cumsum(random.exponential(every, len(t)))
    return _during(t, begins, length)


def _crowds(random: Random, t: Floats) -> Floats:
    """One to three jumps that stay for minutes."""
    begins = np.sort(random.uniform(0.05, 0.9, int(random.integers(1, 4)))) * t[-1]
    return _during(t, begins, _log(random, 180.0, 1200.0))


def _during(t: Floats, begins: Floats, length: float) -> Floats:
    last = np.searchsorted(begins, t, "right") - 1
    since = t - begins[np.maximum(last, 0)]
    return ((last >= 0) & (since < length)).astype(np.float64)


SHAPES: Final[dict[str, Shape]] = {
    "flat": _flat,
    "levels": _levels,
    "waves": _waves,
    "ramp": _ramp,
    "bursts": _bursts,
    "crowds": _crowds,
}
