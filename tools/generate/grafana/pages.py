"""The dashboard "Runbooks": a page for each alert."""

from __future__ import annotations

from tools.generate.grafana.board import Line, Section, dashboard
from tools.generate.grafana.panels import page
from tools.generate.grafana.runbooks import NAME, runbook_names, runbook_text


def dashboard_json() -> str:
    """The dashboard."""
    lines = [Line(12, [page(name, runbook_text(name))]) for name in runbook_names()]
    says = "What each alert means, whom it hurts, what to look at and what to do."
    return dashboard(NAME, says, [Section("One page for each alert", lines)], logs=False)
