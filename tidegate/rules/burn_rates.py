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


@dataclass(frozen=True, slots=True)
class BurnRateAlert:
    """A multi-window, multi-burn-rate alert (The Site Reliability Workbook, chapter 5).

    It fires while the burn rate of the monthly error budget exceeds `factor` over both windows: the long
    window shows that it is significant, the short one that it still continues.
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

RATIO_WINDOWS: Final = (
    *(burn.short for burn in BURN_RATE_ALERTS),
    *(burn.long for burn in BURN_RATE_ALERTS),
)
"""The windows over which ratios of bad requests are recorded."""


def burn_rate_alerts(slo: Slo) -> Iterator[Alert]:
    """The alerts of the availability and of the latency, for each burn rate."""
    for burn in BURN_RATE_ALERTS:
        limit = number(burn.threshold(1 - slo.availability))
        ratio = percent(burn.threshold(1 - slo.availability))
        yield Alert(
            f"ServiceAvailabilityBurn{burn.speed}",
            _expression("service:error_ratio", burn, limit),
            0,
            burn.severity,
            f"Requests fail too often: {burn.spent}",
            f"Over {burn.long} and over {burn.short}, more than {ratio} of the responses are a 5xx or "
            f"were cut off by their replica; the objective allows {percent(1 - slo.availability)}.",
        )
    until = " to their first byte" if slo.until == "first_byte" else ""
    for burn in BURN_RATE_ALERTS:
        limit = number(burn.threshold(1 - slo.latency_quantile))
        ratio = percent(burn.threshold(1 - slo.latency_quantile))
        yield Alert(
            f"ServiceLatencyBurn{burn.speed}",
            _expression("service:latency_miss_ratio", burn, limit),
            0,
            burn.severity,
            f"Requests are too slow: {burn.spent}",
            f"Over {burn.long} and over {burn.short}, more than {ratio} of the responses took longer "
            f"than {number(slo.latency_seconds)} s{until}; the objective allows "
            f"{percent(1 - slo.latency_quantile)}.",
        )


def _expression(ratio: str, burn: BurnRateAlert, limit: str) -> str:
    # Ratios are recorded every 15 s, but the lookback of the stack's Prometheus is 10 s: an instant selector
    # would find nothing a third of the time.
    long, short = (
        f"last_over_time({ratio}:{window}[1m]) > {limit}" for window in (burn.long, burn.short)
    )
    return f"{long}\nand {short}"
