"""Families of synthetic traffic that no policy was made for, each with the service that it is about.

A trace here is a kind of difficulty: batches, bursts, clumps, heavy tails, slow starts. Rates are fixed;
counts, noise and times in a slot differ with the seed of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.traces import Arrivals, Blackout, Floats, Slowness, Trace

MINUTE: Final = 60.0
HOUR: Final = 3600.0

OPERATING_POINTS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "default": {},
        "heavy-tail": {"service_cv": 2.0, "slo_seconds": 1.2},
        "heavier-tail": {"service_cv": 3.0, "slo_seconds": 1.6},
        # An objective that can still be met when requests take twice as long.
        "slack": {"slo_seconds": 1.2},
        "long-start": {"startup_seconds": 300.0},
        # What a replica takes as a process, in a container, and as a pod on a node that has its image.
        "local": {"startup_seconds": 1.0},
        "container": {"startup_seconds": 2.0},
        "pod": {"startup_seconds": 4.0},
        "small-fast": {
            "slots": 8,
            "service_seconds": 0.05,
            "slo_seconds": 0.2,
            "startup_seconds": 10.0,
            "bounds": Bounds(1, 100),
        },
        "round-robin": {"dispatch": "round-robin", "slo_seconds": 1.0},
    }
)
"""What differs from the default `System`, by name."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of traffic."""

    build: Callable[[str], Trace]
    operating_point: str = field(default="default")


def shape(
    seconds: float,
    rate: Callable[[Floats], Floats],
    *,
    interval: float = 5.0,
    arrivals: Arrivals | None = None,
    slow: tuple[Slowness, ...] = (),
    blackouts: tuple[Blackout, ...] = (),
    daily: bool = False,
) -> Callable[[str], Trace]:
    """A builder of the trace with the rate in the middle of each interval; `daily`: also a day before."""

    def build(name: str) -> Trace:
        times = np.arange(0.0, seconds, interval) + interval / 2
        rates = np.broadcast_to(rate(times), times.shape).astype(np.float64)
        earlier = (rates,) if daily else ()
        return Trace(name, interval, rates, slow, blackouts, earlier, arrivals or Arrivals())

    return build


def constant(rate: float) -> Callable[[Floats], Floats]:
    """The same rate at all times."""
    return lambda t: np.full_like(t, rate)


def during(period: float, begin: float, length: float, high: float, low: float) -> Any:
    """`high` for `length` seconds from `begin` in each period, else `low`."""

    def rate(t: Floats) -> Floats:
        into = t % period
        return np.where((into >= begin) & (into < begin + length), high, low)

    return rate


def _at_random(interval: float, length: float, high: float, low: float) -> Any:
    """`high` for `length` seconds, else `low`; from each begin to the next, exponential times."""

    def rate(t: Floats) -> Floats:
        begins = np.cumsum(np.random.default_rng(15).exponential(interval, len(t)))
        last = begins[np.maximum(np.searchsorted(begins, t, "right") - 1, 0)]
        return np.where((t >= last) & (t < last + length), high, low)

    return rate


def _ramp(t: Floats) -> Floats:
    return 5.0 + 105.0 * np.clip(1.0 - np.abs(t - 1.5 * HOUR) / (1.5 * HOUR), 0.0, 1.0)


def levels(each: float, *rates: float) -> Callable[[Floats], Floats]:
    """Each of the rates for as many seconds."""
    return lambda t: np.array(rates)[(t // each).astype(int)]


LEVELS: Final = levels(10 * MINUTE, 20, 60, 40, 80, 50, 20)

FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        # 100 requests at once every 10 s.
        "batches": Family(
            shape(
                1.5 * HOUR,
                constant(10.0),
                interval=10.0,
                arrivals=Arrivals("exact", together=True),
            )
        ),
        # 30 s at 120/s every 5 minutes, else 30/s.
        "bursts-periodic": Family(shape(1.5 * HOUR, during(300.0, 120.0, 30.0, 120.0, 30.0))),
        # The same bursts at random times.
        "bursts-irregular": Family(shape(1.5 * HOUR, _at_random(300.0, 30.0, 120.0, 30.0))),
        # 20 s at 120/s every 10 minutes, else 30/s.
        "bursts-rare": Family(shape(2 * HOUR, during(600.0, 300.0, 20.0, 120.0, 30.0))),
        # 40/s with a variance of ten times the mean in each second.
        "clumped": Family(
            shape(HOUR, constant(40.0), interval=1.0, arrivals=Arrivals("clumped", dispersion=10.0))
        ),
        "heavy-tail": Family(shape(HOUR, LEVELS), "heavy-tail"),
        "heavier-tail": Family(shape(HOUR, LEVELS), "heavier-tail"),
        # Requests take twice as long from minute 20 on for half an hour.
        "slow-service": Family(
            shape(1.2 * HOUR, constant(40.0), slow=(Slowness(20 * MINUTE, 50 * MINUTE, 2.0),)),
            "slack",
        ),
        # Half an hour with a request every 10 s, then 60/s for 8 minutes; twice.
        "idle-then-burst": Family(
            shape(80 * MINUTE, during(40 * MINUTE, 30 * MINUTE, 8 * MINUTE, 60.0, 0.1))
        ),
        "ramp-hours": Family(shape(3 * HOUR, _ramp)),
        # From 5/s to 100/s at once, for 10 minutes in each of two 40.
        "flash-20x": Family(
            shape(80 * MINUTE, during(40 * MINUTE, 15 * MINUTE, 10 * MINUTE, 100.0, 5.0))
        ),
        "long-start": Family(
            shape(2 * HOUR, lambda t: 60.0 - 50.0 * np.cos(2 * np.pi * t / HOUR)), "long-start"
        ),
        # 400/s on average, clumped in each second.
        "small-fast": Family(
            shape(
                30 * MINUTE,
                lambda t: 400.0 + 250.0 * np.sin(2 * np.pi * t / (15 * MINUTE)),
                interval=1.0,
                arrivals=Arrivals("clumped", dispersion=40.0),
            ),
            "small-fast",
        ),
        "per-replica-queues": Family(shape(HOUR, LEVELS), "round-robin"),
        # Rates that are another ones each minute, as in counts of requests by minute of a real service.
        "noisy-minutes": Family(
            shape(
                2 * HOUR,
                constant(45.0),
                interval=60.0,
                arrivals=Arrivals(noise_cv=0.5, noise_seconds=120.0),
            )
        ),
        # Rates that drift and flicker within seconds, as in counts by second.
        "noisy-seconds": Family(
            shape(
                2 * HOUR,
                lambda t: 45.0 - 25.0 * np.cos(2 * np.pi * t / HOUR),
                interval=1.0,
                arrivals=Arrivals("clumped", dispersion=3.0, noise_cv=0.4, noise_seconds=30.0),
            )
        ),
    }
)
"""The families by the names of their traces."""
