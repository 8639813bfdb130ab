"""The error budgets of the service level objective, a section of the dashboard "Service"."""

from __future__ import annotations

from tidegate.rules.burn_rates import BURN_RATE_ALERTS, RATIO_WINDOWS
from tidegate.rules.promql import number
from tidegate.settings import Slo
from tools.generate.grafana.dashboard import PanelRow
from tools.generate.grafana.panels import stat_panel, time_series_panel
from tools.generate.grafana.queries import instant_query, latest, range_query


def error_budget_row(slo: Slo) -> PanelRow:
    """The burn rate and the remainder of each error budget."""
    panels = []
    for title, ratio, allowed in (
        ("errors", "service:error_ratio", 1 - slo.availability),
        ("slow responses", "service:latency_miss_ratio", 1 - slo.latency_quantile),
    ):
        budget = number(allowed)
        kind = "Availability" if ratio == "service:error_ratio" else "Latency"
        panels += [
            time_series_panel(
                f"Burn rate: {title}",
                "How many times faster than allowed the error budget of "
                f"{number(allowed * 100)} % is consumed. At 1 the budget lasts for the "
                "objective's period. An alert fires if a long window and its short window "
                f"both exceed a threshold: {_thresholds(allowed)}.",
                *(
                    range_query(latest(f"{ratio}:{window}") + f" / {budget}", f"over {window}")
                    for window in RATIO_WINDOWS
                ),
                unit="short",
                thresholds=sorted(burn.threshold(allowed) / allowed for burn in BURN_RATE_ALERTS),
                alerts=[f"Service{kind}Burn{burn.speed}" for burn in BURN_RATE_ALERTS],
            ),
            stat_panel(
                f"Remaining budget: {title}",
                "If the objective applied to the selected time range: the fraction of "
                "allowed bad requests that is left. Each moment has the same weight, "
                "whatever its number of requests.",
                instant_query(
                    f"1 - avg_over_time({ratio}:{RATIO_WINDOWS[0]}[$__range]) / {budget}"
                ),
                unit="percentunit",
                thresholds=(0, 0.5),
                low_is_bad=True,
                decimals=1,
            ),
        ]
    return PanelRow(8, panels)


def _thresholds(allowed: float) -> str:
    return ", ".join(
        f"{burn.long} and {burn.short} above {number(burn.threshold(allowed) / allowed)}"
        for burn in BURN_RATE_ALERTS
    )
