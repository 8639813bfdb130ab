"""The simulated service: what no policy changes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.families import OPERATING_POINTS

Dispatch = Literal["queue", "round-robin", "power-of-two"]


# A simulation of longer times, or of a wider spread, would not end or not fit into its arrays.
MAX_SECONDS: Final = 86_400.0
MAX_VARIATION: Final = 100.0


@dataclass(frozen=True, slots=True)
class RequestKind:
    """A kind of request.

    Attributes:
        share: its weight among the kinds.
        service_seconds: its mean time in a slot.
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
        dispatch: `queue`: requests wait in one queue at the gateway; otherwise each goes to a replica at once
            and waits there: `round-robin`, or `power-of-two`: the less loaded of two random ones.
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
        times = (
            *(self.slo_seconds, self.startup_seconds, self.scrape_seconds),
            *(kind.service_seconds for kind in self.kinds),
        )
        variations, bounds = (self.service_cv, self.startup_cv), self.bounds
        known = get_args(Dispatch)
        # `not … <=` is true of NaN as well.
        wrong = {
            "every kind of request needs a share and a service time above 0": not self.kinds
            or any(kind.share <= 0 or kind.service_seconds <= 0 for kind in self.kinds),
            f"the service's times and its objective must be at most {MAX_SECONDS:g} s": not all(
                number <= MAX_SECONDS for number in times
            ),
            f"a cv must be at most {MAX_VARIATION:g}": not all(
                cv <= MAX_VARIATION for cv in variations
            ),
            f"a cv cannot be negative, got {min(variations):g}": min(variations) < 0,
            f"slots must be at least 1, got {self.slots:g}": self.slots < 1,
            f"startup must be at least 0 s, got {self.startup_seconds:g}": self.startup_seconds < 0,
            f"slo must be above 0 s, got {self.slo_seconds:g}": self.slo_seconds <= 0,
            f"scrape must be above 0 s, got {self.scrape_seconds:g}": self.scrape_seconds <= 0,
            f"min must be at least 0, got {bounds.min}": bounds.min < 0,
            f"needs min ≤ start ≤ max, got {bounds.min}, {self.start}, {bounds.max}": (
                bounds.clamp(self.start) != self.start or bounds.min > bounds.max
            ),
            f"unknown dispatch {self.dispatch!r}; known: {', '.join(known)}": (
                self.dispatch not in known
            ),
            "the share to the first byte must be above 0 and at most 1, got"
            f" {self.first_byte_share:g}": not 0 < self.first_byte_share <= 1,
            "the first scrape must be within one interval of the start": (
                not 0 <= self.scrape_phase_seconds < self.scrape_seconds
            ),
        }
        if found := next((text for text, is_wrong in wrong.items() if is_wrong), ""):
            raise ValueError(found)

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
