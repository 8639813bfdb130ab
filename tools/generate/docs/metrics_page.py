"""docs/reference/metrics.md: every metric and recorded series."""

from __future__ import annotations

from typing import Final

from tidegate.rules.model_rules import model_groups
from tidegate.rules.promql import duration
from tidegate.rules.service_rules import service_groups
from tidegate.rules.yaml_text import NOTE
from tidegate.settings import Settings
from tools.generate.metrics.components import SECTIONS

INTRODUCTION: Final = (
    "Names follow OpenTelemetry's conventions where there is one, units are base units. Each Python program "
    "also exports the usual `process_*` metrics. [Dashboards](grafana.md), [alerts](alerts.md) and the "
    "autoscaler read the recorded series and derive none of their own."
)


def metrics_page(settings: Settings) -> str:
    """docs/reference/metrics.md."""
    scrape = duration(settings.prometheus.scrape_seconds)
    lines = [
        f"<!-- {NOTE} -->",
        "# Metrics and recording rules",
        "",
        INTRODUCTION,
    ]
    for title, metrics in SECTIONS.items():
        lines += [
            "",
            f"## {title}",
            "",
            "| metric | type | labels | meaning |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.meaning} |"
            for metric in metrics
        ]
    lines += [
        "",
        "## Recording rules",
        "",
        (
            f"Recorded every {scrape}; ratios and the series of a model every 15 s, those over 1h and 1d "
            "every minute. A series without data is missing, never NaN."
        ),
        "",
        "| series | meaning |",
        "| --- | --- |",
    ]
    lines += [
        f"| `{recording.name}` | {recording.meaning} |"
        for group in (*service_groups(settings.slo), *model_groups(settings.drift))
        for recording in group.recordings
    ]
    return "\n".join(lines) + "\n"
