"""Whether the objective is kept, and how fast the error budget is spent."""

from __future__ import annotations

import pytest

from tidegate.settings import Slo
from tidegate.stack.objective import ERRORS_NOW, FAST, LATENCY, budgets, verdict

SLO = Slo(latency_seconds=0.5, latency_quantile=0.95, availability=0.999)
QUANTILE = "service:latency_objective_quantile_seconds:1m"


@pytest.mark.parametrize(
    ("values", "words", "reason"),
    [
        ({}, "no requests", "objective: p95 within 500 ms"),
        ({QUANTILE: 0.2}, "kept", "p95 200 ms of 500 ms in the last minute"),
        ({QUANTILE: 0.6}, "missed", "p95 600 ms of 500 ms in the last minute"),
        (
            {QUANTILE: 0.2, ERRORS_NOW: 0.02},
            "missed",
            f"2.00% of the answers in {FAST.short} are errors",
        ),
    ],
)
def test_the_objective_is_kept_if_latency_and_errors_are_within_it(
    values: dict[str, float], words: str, reason: str
) -> None:
    found = verdict(SLO, values)
    assert (found.words, found.reason) == (words, reason)


@pytest.mark.parametrize(
    ("missed", "level", "outlook"),
    [
        (None, "good", f"no requests in the last {FAST.long}"),
        (0.025, "good", "lasts the month: 50% of what is allowed is spent"),
        (0.15, "warn", "spent 3.0 times too fast: the budget of a month lasts 10 days"),
        (1.0, "bad", "spent 20.0 times too fast: the budget of a month lasts 36 hours"),
    ],
)
def test_the_budget_of_a_month_lasts_as_long_as_the_burn_of_the_fast_alerts_long_window_allows(
    missed: float | None, level: str, outlook: str
) -> None:
    values = {} if missed is None else {f"{LATENCY}:{FAST.long}": missed}
    latency, availability = budgets(SLO, values)
    assert (latency.level, latency.outlook) == (level, outlook)
    assert latency.promise == "95 % within 500 ms"
    assert availability.promise == "99.9 % without a server error"
