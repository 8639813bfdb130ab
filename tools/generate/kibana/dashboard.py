"""The dashboard that Kibana opens first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tools.generate.kibana.columns import Count, DateHistogram, Maximum, Percentile, TopValues
from tools.generate.kibana.data_views import DECISIONS, LOGS
from tools.generate.kibana.links import CONSOLE
from tools.generate.kibana.panels import GridPosition, LensPanel, Panel, SavedSearchPanel, TextPanel
from tools.generate.kibana.searches import CORE_VERSION, ERRORS, json_text, lucene

DASHBOARD_VERSION: Final = "10.2.0"
REFRESH_MILLISECONDS: Final = 60_000
REQUESTS: Final = "event.dataset:tidegate.request"
# The gateway leaves an event where the one of the replica is missing or does not tell all.
RESPONSES: Final = (
    "event.dataset:tidegate.access OR (event.dataset:tidegate.request AND event.outcome:success)"
)
DURATION: Final = "event.duration"
P95: Final = Percentile(95, DURATION)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        id: must not change, because links refer to it.
        title: shown in Kibana's list.
        description: one sentence.
        lookback: length of the default time range, which ends now.
        panels: in reading order.
    """

    id: str
    title: str
    description: str
    lookback: str
    panels: tuple[Panel, ...]

    def saved_object(self) -> dict[str, Any]:
        """The object in the form of Kibana's import file."""
        return {
            "type": "dashboard",
            "id": self.id,
            "coreMigrationVersion": CORE_VERSION,
            "typeMigrationVersion": DASHBOARD_VERSION,
            "attributes": {
                "title": self.title,
                "description": self.description,
                "kibanaSavedObjectMeta": {
                    "searchSourceJSON": json_text({"query": lucene(""), "filter": []})
                },
                "timeRestore": True,
                "timeFrom": f"now-{self.lookback}",
                "timeTo": "now",
                "refreshInterval": {"pause": False, "value": REFRESH_MILLISECONDS},
                "panelsJSON": json_text([panel.content() for panel in self.panels]),
                "optionsJSON": json_text(
                    {
                        "useMargins": True,
                        "syncColors": False,
                        "syncCursor": True,
                        "syncTooltips": False,
                        "hidePanelTitles": False,
                    }
                ),
            },
            "references": [each for panel in self.panels for each in panel.references()],
        }


OVERVIEW: Final = Dashboard(
    "tidegate-overview",
    "Tidegate",
    "Requests, errors, response times and replicas, from the events.",
    "24h",
    (
        LensPanel(
            "p1",
            "Requests",
            GridPosition(0, 0, 12, 6),
            "number",
            LOGS,
            REQUESTS,
            (Count("Requests"),),
        ),
        LensPanel(
            "p2",
            "Failed requests",
            GridPosition(12, 0, 12, 6),
            "number",
            LOGS,
            f"{REQUESTS} AND event.outcome:failure",
            (Count("Failed"),),
        ),
        LensPanel(
            "p3", "Response time, p95", GridPosition(24, 0, 12, 6), "number", LOGS, REQUESTS, (P95,)
        ),
        LensPanel(
            "p4",
            "Maximum desired replicas",
            GridPosition(36, 0, 12, 6),
            "number",
            DECISIONS,
            "",
            (Maximum("Replicas", "tidegate.decision.desired"),),
        ),
        LensPanel(
            "p5",
            "Requests by outcome",
            GridPosition(0, 6, 24, 12),
            "bar_stacked",
            LOGS,
            REQUESTS,
            (TopValues("Outcome", "event.outcome"), DateHistogram(), Count("Requests")),
        ),
        LensPanel(
            "p6",
            "Response time percentiles",
            GridPosition(24, 6, 24, 12),
            "line",
            LOGS,
            REQUESTS,
            (DateHistogram(), Percentile(50, DURATION), P95, Percentile(99, DURATION)),
        ),
        LensPanel(
            "p7",
            "Responses by status",
            GridPosition(0, 18, 24, 12),
            "bar_stacked",
            LOGS,
            RESPONSES,
            (
                TopValues("Status", "http.response.status_code", kind="number"),
                DateHistogram(),
                Count("Responses"),
            ),
        ),
        LensPanel(
            "p8",
            "Desired replicas",
            GridPosition(24, 18, 24, 12),
            "line",
            DECISIONS,
            "",
            (DateHistogram(), Maximum("Replicas", "tidegate.decision.desired")),
        ),
        LensPanel(
            "p9",
            "Top errors",
            GridPosition(0, 30, 16, 12),
            "table",
            LOGS,
            ERRORS.query,
            (TopValues("Error", "error.type", size=10), Count("Events")),
        ),
        LensPanel(
            "p10",
            "Slowest routes",
            GridPosition(16, 30, 16, 12),
            "table",
            LOGS,
            REQUESTS,
            (
                TopValues("Route", "tidegate.route", by=P95.id, size=10, other=False),
                Count("Requests"),
                P95,
            ),
        ),
        LensPanel(
            "p11",
            "Nodes",
            GridPosition(32, 30, 16, 12),
            "table",
            LOGS,
            REQUESTS,
            (TopValues("Node", "service.node.name", size=10), Count("Requests"), P95),
        ),
        TextPanel(
            "p13",
            GridPosition(0, 42, 48, 3),
            f"[The console]({CONSOLE}) shows each trace as a waterfall with its log lines, why there are so"
            " many replicas, and what the model sees.",
        ),
        SavedSearchPanel("p12", "Errors and their traces", GridPosition(0, 45, 48, 18), ERRORS),
    ),
)
