"""The burn rates of the error budget that page somebody: the windows, and the alerts over them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tidegate.rules.alert import Alert, Severity
from tidegate.rules.promql import duration, number, percent
from tidegate.settings import Slo

# A higher threshold would hardly be reached, even in a complete outage.
MAX_RATIO: Final = 0.9
# One of 28 responses exceeds the threshold of the faster alert with an availability of 0.999 (the workbook's
# "Low-Traffic Services"). A service that just meets its objective has so many bad ones among those few that
# they exceed it by chance in 0.003 % of its hours (Poisson with mean 5 / 14.4), the slower in 0.2 %.
LEAST_BAD: Final = 5


@dataclass(frozen=True, slots=True)
class BurnRateAlert:
    """A multi-window, multi-burn-rate alert (The Site Reliability Workbook, chapter 5).

    It fires while the burn rate of the monthly error budget exceeds `factor` over both windows: the long
    window shows that it is significant, the short one that it still continues. It needs `LEAST_BAD` bad
    responses in the long window.
    """

    speed: Literal["Fast", "Slow"]
    long_minutes: int
    short_minutes: int
    factor: float
    severity: Severity
    spent: str

    @property
    def long(self) -> str:
        """The long window, as Prometheus writes it."""
        return duration(60 * self.long_minutes)

    @property
    def short(self) -> str:
        """The short window, as Prometheus writes it."""
        return duration(60 * self.short_minutes)

    def threshold(self, budget: float) -> float:
        """The ratio of bad requests above which it fires, for an error budget in [0, 1]."""
        return min(self.factor * budget, MAX_RATIO)


BURN_RATE_ALERTS: Final = (
    BurnRateAlert("Fast", 60, 5, 14.4, "critical", "2 % of the monthly error budget in an hour"),
    BurnRateAlert("Slow", 360, 30, 6.0, "warning", "5 % of the monthly error budget in six hours"),
)

LONG_WINDOWS: Final = tuple(burn.long for burn in BURN_RATE_ALERTS)
RATIO_WINDOWS: Final = tuple(
    dict.fromkeys(
        (
            *(burn.short for burn in BURN_RATE_ALERTS),
            *LONG_WINDOWS,
        )
    )
)
"""The windows over which ratios of bad requests are recorded."""


def burn_rate_alerts(slo: Slo) -> Iterator[Alert]:
    """The alerts of the availability and of the latency, for each burn rate."""
    yield from _alerts(
        "Availability",
        ("service:error_ratio", "service:responses"),
        1 - slo.availability,
        "Requests fail too often",
        "are a 5xx or were cut off by their replica",
    )
    until = " to their first byte" if slo.until == "first_byte" else ""
    yield from _alerts(
        "Latency",
        ("service:latency_miss_ratio", "service:answers"),
        1 - slo.latency_quantile,
        "Requests are too slow",
        f"took longer than {number(slo.latency_seconds)} s{until}",
    )


def _alerts(
    objective: str, series: tuple[str, str], budget: float, summary: str, what: str
) -> Iterator[Alert]:
    """The alerts of an objective, which allows `budget` as the ratio of responses that `what` makes bad.

    `series` records that ratio, and the number of responses it is of.
    """
    for burn in BURN_RATE_ALERTS:
        limit = burn.threshold(budget)
        yield Alert(
            f"Service{objective}Burn{burn.speed}",
            _expression(*series, burn, number(limit)),
            0,
            burn.severity,
            f"{summary}: {burn.spent}",
            f"Over {burn.long} and over {burn.short}, more than {percent(limit)} of the responses {what}, at "
            f"least {LEAST_BAD}; the objective allows {percent(budget)}.",
        )


def _expression(ratio: str, count: str, burn: BurnRateAlert, limit: str) -> str:
    # Ratios are recorded every 15 s, but the lookback of the stack's Prometheus is 10 s: an instant selector
    # would find nothing a third of the time.
    long, short = (
        f"last_over_time({ratio}:{window}[1m]) > {limit}" for window in (burn.long, burn.short)
    )
    # An increase is an estimate: half a response less is rounding.
    bad = " * ".join(f"last_over_time({series}:{burn.long}[1m])" for series in (ratio, count))
    return f"{long}\nand {short}\nand {bad} > {LEAST_BAD - 0.5}"
