"""The objective: whether it is kept now, and how fast the error budget is spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tidegate.rules.burn_rates import BURN_RATE_ALERTS, RATIO_WINDOWS
from tidegate.settings import Slo

FAST: Final = BURN_RATE_ALERTS[0]
SLOWEST_ALERT: Final = min(burn.factor for burn in BURN_RATE_ALERTS)
QUANTILE: Final = "service:latency_objective_quantile_seconds:1m"
BUDGET_DAYS: Final = 30
LATENCY: Final = "service:latency_miss_ratio"
ERRORS: Final = "service:error_ratio"
ERRORS_NOW: Final = f"{ERRORS}:{FAST.short}"
# The series that say it.
NAMES: Final = (
    QUANTILE,
    *(f"{ratio}:{window}" for ratio in (LATENCY, ERRORS) for window in RATIO_WINDOWS),
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The error budget of one objective, which allows a fraction of the requests to miss it.

    Attributes:
        name: of the objective.
        promise: it in words.
        burns: how many times faster than allowed the budget is spent, by window; None without requests.
    """

    name: str
    promise: str
    burns: Mapping[str, float | None]

    @property
    def level(self) -> str:
        """`good`, `warn` or `bad`, by the burn over the long window of the fast alert."""
        burn = self.burns[FAST.long] or 0.0
        return "good" if burn <= 1 else "warn" if burn <= SLOWEST_ALERT else "bad"

    @property
    def outlook(self) -> str:
        """How long the budget of a month lasts at the rate over that window."""
        burn = self.burns[FAST.long]
        if burn is None:
            return f"no requests in the last {FAST.long}"
        if burn <= 1:
            return f"lasts the month: {burn:.0%} of what is allowed is spent"
        days = BUDGET_DAYS / burn
        left = f"{days:.0f} days" if days >= 2 else f"{days * 24:.0f} hours"
        return f"spent {burn:.1f} times too fast: the budget of a month lasts {left}"


class Verdict(NamedTuple):
    """Whether the objective is kept now: a level as of a budget, in one or two words, and the reason."""

    level: str
    words: str
    reason: str


def budgets(slo: Slo, values: Mapping[str, float]) -> tuple[Budget, Budget]:
    """The budgets of latency and of availability, from the current values of `NAMES`."""

    def burns(ratio: str, allowed: float) -> Mapping[str, float | None]:
        found = {window: values.get(f"{ratio}:{window}") for window in RATIO_WINDOWS}
        return {key: None if one is None else one / allowed for key, one in found.items()}

    late = f"{slo.latency_quantile * 100:.4g} % within {slo.latency_seconds * 1e3:.0f} ms"
    failed = f"{slo.availability * 100:.5g} % without a server error"
    return (
        Budget("Latency", late, burns(LATENCY, 1 - slo.latency_quantile)),
        Budget("Availability", failed, burns(ERRORS, 1 - slo.availability)),
    )


def verdict(slo: Slo, values: Mapping[str, float]) -> Verdict:
    """Whether the objective is kept now, from the current values of `NAMES`."""
    quantile, errors = values.get(QUANTILE), values.get(ERRORS_NOW, 0.0)
    name, limit = f"p{slo.latency_quantile * 100:.4g}", f"{slo.latency_seconds * 1e3:.0f} ms"
    if errors > 1 - slo.availability:
        return Verdict("bad", "missed", f"{errors:.2%} of the answers in {FAST.short} are errors")
    if quantile is None:
        return Verdict("", "no requests", f"objective: {name} within {limit}")
    measured = f"{name} {quantile * 1e3:.0f} ms of {limit} in the last minute"
    if quantile > slo.latency_seconds:
        return Verdict("bad", "missed", measured)
    return Verdict("good", "kept", measured)
