"""The simulated service: what no policy changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.families import OPERATING_POINTS

Dispatch = Literal["queue", "round-robin"]

# Above 0. A simulation of longer times, or of a wider spread, would not end or not fit into its arrays.
LEAST: Final = 1e-6
MAX_SECONDS: Final = 86_400.0
MAX_VARIATION: Final = 100.0


@dataclass(frozen=True, slots=True)
class RequestKind:
    """A kind of request.

    Its share is a weight among the kinds, its service time a mean.
    """

    share: float
    service_seconds: float


@dataclass(frozen=True, slots=True)
class System:
    """A service: one queue, and replicas with slots.

    Attributes:
        slots: concurrent requests of one replica.
        kinds: the kinds of requests.
        service_cv: coefficient of variation of each kind's time in a slot (lognormal); 0 is constant.
        slo_seconds: the objective: the maximum response time of the fraction `slo_quantile` of requests.
        slo_quantile: the quantile of the objective.
        startup_seconds: from the start of a replica until it accepts requests.
        bounds: of the number of replicas.
        start: replicas at the start, all ready.
        scrape_seconds: the scrape interval.
        scrape_phase_seconds: the time of the first scrape, less than `scrape_seconds`.
        reported_slots: `slots` as reported by the metrics; None: the actual number.
        first_byte_share: when the first byte of a response is sent, as a fraction of its time in a slot;
            below 1 the objective is about that byte.
        startup_cv: coefficient of variation of the start-up time (lognormal); 0 is constant.
        dispatch: `queue`: requests wait in one queue at the gateway; `round-robin`: each goes to a replica in
            turn at once, and waits there.
    """

    slots: int = 4
    kinds: tuple[RequestKind, ...] = (RequestKind(1.0, 0.2),)
    service_cv: float = 0.7
    slo_seconds: float = 0.6
    slo_quantile: float = 0.95
    startup_seconds: float = 30.0
    bounds: Bounds = field(default=Bounds(1, 30))
    start: int = 3
    scrape_seconds: float = 2.0
    scrape_phase_seconds: float = 0.0
    reported_slots: int | None = None
    first_byte_share: float = 1.0
    startup_cv: float = 0.0
    dispatch: Dispatch = "queue"

    def __post_init__(self) -> None:
        numbers = {
            "slots": (self.slots, 1.0, math.inf),
            "startup": (self.startup_seconds, 0.0, MAX_SECONDS),
            "slo": (self.slo_seconds, LEAST, MAX_SECONDS),
            "scrape": (self.scrape_seconds, LEAST, MAX_SECONDS),
            "a cv": (self.service_cv, 0.0, MAX_VARIATION),
            "the cv of startup": (self.startup_cv, 0.0, MAX_VARIATION),
            "the share to the first byte": (self.first_byte_share, LEAST, 1.0),
            "min": (self.bounds.min, 0.0, math.inf),
        }
        for kind in self.kinds:
            numbers |= {
                "the share of a kind": (kind.share, LEAST, math.inf),
                "the service time": (kind.service_seconds, LEAST, MAX_SECONDS),
            }
            for name, (number, least, most) in numbers.items():
                if not least <= number <= most:  # true of NaN as well
                    raise ValueError(f"{name} must be from {least:g} to {most:g}, got {number:g}")
        if not self.kinds:
            raise ValueError("at least one kind of request is needed")
        if not self.bounds.min <= self.start <= self.bounds.max:
            raise ValueError(
                f"needs min ≤ start ≤ max, got {self.bounds.min}, {self.start}, {self.bounds.max}"
            )
        if self.dispatch not in get_args(Dispatch):
            raise ValueError(
                f"unknown dispatch {self.dispatch!r}; known: {', '.join(get_args(Dispatch))}"
            )
        if not 0 <= self.scrape_phase_seconds < self.scrape_seconds:
            raise ValueError("the first scrape must be within one interval of the start")

    @property
    def until(self) -> Literal["last_byte", "first_byte"]:
        """The byte of a response that the objective is about."""
        return "first_byte" if self.first_byte_share < 1 else "last_byte"

    @property
    def service_seconds(self) -> float:
        """The mean time in a slot over all kinds."""
        shares = sum(kind.share for kind in self.kinds)
        return sum(kind.share * kind.service_seconds for kind in self.kinds) / shares


def at_operating_point(system: System, name: str, **given: Any) -> System:
    """The system with what an operating point changes; values that are given win.

    Args:
        system: the one to change.
        name: a name in `OPERATING_POINTS`.
        **given: fields of `System`; `service_seconds` for a single kind of requests, `minimum` and `maximum`
            for one of the bounds.

    Raises:
        ValueError: the name is unknown, or the result is invalid.
    """
    if name not in OPERATING_POINTS:
        raise ValueError(f"unknown operating point {name!r}; known: {', '.join(OPERATING_POINTS)}")
    changes = {**OPERATING_POINTS[name], **given}
    if "service_seconds" in changes:
        changes["kinds"] = (RequestKind(1.0, changes.pop("service_seconds")),)
    bounds = changes.get("bounds", system.bounds)
    least, most = changes.pop("minimum", bounds.min), changes.pop("maximum", bounds.max)
    changes["bounds"] = Bounds(least, most)
    return replace(system, **changes)
