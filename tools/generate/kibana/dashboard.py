"""The dashboard that Kibana opens with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from tools.generate.kibana.columns import Count, Largest, Percentile, Time, Values
from tools.generate.kibana.data_views import DECISIONS, LOGS
from tools.generate.kibana.panels import Lens, Panel, Place, Shown
from tools.generate.kibana.searches import CORE_VERSION, ERRORS, lucene, text

DASHBOARD_VERSION: Final = "10.2.0"
REFRESH_MILLISECONDS: Final = 60_000
REQUESTS: Final = "event.dataset:tidegate.request"
ACCESS: Final = "event.dataset:tidegate.access"
DURATION: Final = "event.duration"
P95: Final = Percentile(95, DURATION)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A dashboard.

    Attributes:
        id: never changes, because people's links refer to it.
        title: what a person selects it by.
        description: one sentence.
        back: the time range it opens with, up to now.
        panels: its panels.
    """

    id: str
    title: str
    description: str
    back: str
    panels: tuple[Panel, ...]

    def saved_object(self) -> dict[str, Any]:
        """The line of the file that Kibana imports."""
        return {
            "type": "dashboard",
            "id": self.id,
            "coreMigrationVersion": CORE_VERSION,
            "typeMigrationVersion": DASHBOARD_VERSION,
            "attributes": {
                "title": self.title,
                "description": self.description,
                "kibanaSavedObjectMeta": {
                    "searchSourceJSON": text({"query": lucene(""), "filter": []})
                },
                "timeRestore": True,
                "timeFrom": f"now-{self.back}",
                "timeTo": "now",
                "refreshInterval": {"pause": False, "value": REFRESH_MILLISECONDS},
                "panelsJSON": text([panel.content() for panel in self.panels]),
                "optionsJSON": text(
                    {
                        "useMargins": True,
                        "syncColors": False,
                        "syncCursor": True,
                        "syncTooltips": False,
                        "hidePanelTitles": False,
                    }
                ),
            },
            "references": [panel.reference() for panel in self.panels],
        }


OVERVIEW: Final = Dashboard(
    "tidegate-overview",
    "Tidegate",
    "Requests, errors, response times and replicas, from the events themselves.",
    "24h",
    (
        Lens("p1", "Requests", Place(0, 0, 12, 6), "number", LOGS, REQUESTS, (Count("Requests"),)),
        Lens(
            "p2",
            "Failed requests",
            Place(12, 0, 12, 6),
            "number",
            LOGS,
            f"{REQUESTS} AND event.outcome:failure",
            (Count("Failed"),),
        ),
        Lens("p3", "Response time, p95", Place(24, 0, 12, 6), "number", LOGS, REQUESTS, (P95,)),
        Lens(
            "p4",
            "Most replicas wanted",
            Place(36, 0, 12, 6),
            "number",
            DECISIONS,
            "",
            (Largest("Replicas", "tidegate.decision.desired"),),
        ),
        Lens(
            "p5",
            "Requests by outcome",
            Place(0, 6, 24, 12),
            "bar_stacked",
            LOGS,
            REQUESTS,
            (Values("Outcome", "event.outcome"), Time(), Count("Requests")),
        ),
        Lens(
            "p6",
            "Response times",
            Place(24, 6, 24, 12),
            "line",
            LOGS,
            REQUESTS,
            (Time(), Percentile(50, DURATION), P95, Percentile(99, DURATION)),
        ),
        Lens(
            "p7",
            "Answers at the gateway by status",
            Place(0, 18, 24, 12),
            "bar_stacked",
            LOGS,
            ACCESS,
            (
                Values("Status", "http.response.status_code", kind="number"),
                Time(),
                Count("Answers"),
            ),
        ),
        Lens(
            "p8",
            "Replicas wanted",
            Place(24, 18, 24, 12),
            "line",
            DECISIONS,
            "",
            (Time(), Largest("Replicas", "tidegate.decision.desired")),
        ),
        Lens(
            "p9",
            "Top errors",
            Place(0, 30, 16, 12),
            "table",
            LOGS,
            ERRORS.query,
            (Values("Error", "error.type", size=10), Count("Events")),
        ),
        Lens(
            "p10",
            "Slowest routes",
            Place(16, 30, 16, 12),
            "table",
            LOGS,
            REQUESTS,
            (
                Values("Route", "tidegate.route", by=P95.id, size=10, other=False),
                Count("Requests"),
                P95,
            ),
        ),
        Lens(
            "p11",
            "Nodes",
            Place(32, 30, 16, 12),
            "table",
            LOGS,
            REQUESTS,
            (Values("Node", "service.node.name", size=10), Count("Requests"), P95),
        ),
        Shown("p12", "Errors and their traces", Place(0, 42, 48, 18), ERRORS),
    ),
)
