"""The simulated service: what no policy changes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from tidegate.autoscaler.types import Bounds


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

    def __post_init__(self) -> None:
        if not self.kinds or any(k.share <= 0 or k.service_seconds <= 0 for k in self.kinds):
            raise ValueError("every kind of request needs a share and a service time above 0")
        numbers = (self.service_cv, self.slo_seconds, self.startup_seconds, self.service_seconds)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("the service's times and its objective must be finite numbers")
        minimum_one = {
            "slots": self.slots,
            "startup and later": self.startup_seconds + 1,
        }
        for name, value in minimum_one.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value:g}")
        if self.bounds.min < 0:
            raise ValueError(f"min must be at least 0, got {self.bounds.min}")
        if not self.bounds.min <= self.start <= self.bounds.max:
            raise ValueError(
                f"needs min ≤ start ≤ max, got {self.bounds.min}, {self.start}, {self.bounds.max}"
            )
        if self.service_cv < 0:
            raise ValueError(f"the service's cv cannot be negative, got {self.service_cv:g}")
        _above_zero({"slo": self.slo_seconds, "scrape": self.scrape_seconds})
        if not 0 < self.first_byte_share <= 1:
            raise ValueError(
                f"the share to the first byte must be above 0 and at most 1, got {self.first_byte_share:g}"
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


def _above_zero(seconds: dict[str, float]) -> None:
    for name, value in seconds.items():
        if value <= 0:
            raise ValueError(f"{name} must be above 0 s, got {value:g}")
