"""A dashboard as `GET /api/dashboards/<id>` of Kibana 9.5 returns it.

The shape is that of elastic/kibana, src/platform/plugins/shared. In dashboard/server/api: read/schemas.ts
(`id`, `data`, `meta`, `warnings`), transforms/out/transform_panels_out.ts (a panel's `id`, `type`, `grid`,
`config`; one that it cannot convert becomes a warning), oas_examples.ts (Lens is `vis`). In
embeddable/common/bwc: transform_type.ts (a saved search is a `discover_session`).
"""

from __future__ import annotations

from typing import Any

from support.panels.kibana_dashboards import Dashboard

TYPES = {"lens": "vis", "search": "discover_session"}


def dashboard_answer(dashboard: Dashboard) -> dict[str, Any]:
    """The response for an imported dashboard that nobody changed."""
    panels = [
        {
            "grid": {"x": 0, "y": number, "w": 24, "h": 1},
            "config": {"title": panel.title},
            "id": panel.id,
            "type": TYPES[panel.kind],
        }
        for number, panel in enumerate(dashboard.panels)
    ]
    return {
        "id": dashboard.id,
        "data": {"title": dashboard.title, "panels": panels},
        "meta": {"managed": False, "version": "WzEsMV0="},
    }
