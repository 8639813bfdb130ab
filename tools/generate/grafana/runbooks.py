"""The dashboard "Runbooks": one panel for each alert."""

from __future__ import annotations

from tools.generate.grafana.dashboard import PanelRow, Section, dashboard
from tools.generate.grafana.panels import text_panel
from tools.generate.grafana.runbook_text import NAME, SECTION, runbook_names, runbook_text


def dashboard_json() -> str:
    """The dashboard."""
    rows = [PanelRow(12, [text_panel(name, runbook_text(name))]) for name in runbook_names()]
    description = (
        "What each alert means, its impact, and how to diagnose and fix the cause. The commands are those of"
        " local mode; docs/runbooks/README.md has those of Docker Compose and Kubernetes."
    )
    return dashboard(NAME, description, [Section(SECTION, rows)], with_logs=False)
