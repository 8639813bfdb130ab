"""The section about the service level objective of the dashboard "Service"."""

from __future__ import annotations

from tidegate.rules.alerts import BURNS
from tidegate.rules.promql import number as digits
from tidegate.rules.service_rules import RATIO_WINDOWS
from tidegate.settings import Slo
from tools.generate.grafana.board import Line
from tools.generate.grafana.panels import graph, number
from tools.generate.grafana.queries import recorded, series, single


def budgets(slo: Slo) -> Line:
    """The burn rate of each error budget, and the rest of it."""
    panels = []
    for title, ratio, allowed in (
        ("errors", "service:error_ratio", 1 - slo.availability),
        ("slow answers", "service:latency_miss_ratio", 1 - slo.latency_quantile),
    ):
        budget = digits(allowed)
        kind = "Availability" if ratio == "service:error_ratio" else "Latency"
        panels += [
            graph(
                f"Burn rate: {title}",
                f"How many times faster than allowed the budget of {digits(allowed * 100)} % is spent. "
                "At 1 it lasts as long as the objective's period. An alert fires where a long and its "
                "short window are both above one line: 1h and 5m above "
                f"{digits(BURNS[0].threshold(allowed) / allowed)}, 6h and 30m above "
                f"{digits(BURNS[1].threshold(allowed) / allowed)}.",
                *(
                    series(recorded(f"{ratio}:{window}") + f" / {budget}", f"over {window}")
                    for window in RATIO_WINDOWS
                ),
                unit="short",
                limits=sorted(burn.threshold(allowed) / allowed for burn in BURNS),
                alerts=(f"Service{kind}BurnFast", f"Service{kind}BurnSlow"),
            ),
            number(
                f"Budget left: {title}",
                "If the objective held for the time that is shown: what is left of the bad requests that it "
                "allows. Each moment counts the same, however many requests it had.",
                single(f"1 - avg_over_time({ratio}:5m[$__range]) / {budget}"),
                unit="percentunit",
                limits=(0, 0.5),
                falling=True,
                decimals=1,
            ),
        ]
    return Line(8, panels)
