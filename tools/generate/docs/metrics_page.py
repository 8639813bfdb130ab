"""docs/reference/metrics.md: every metric, recorded series and alert."""

from __future__ import annotations

import re
from typing import Final

from tidegate.rules.alerts import alerts
from tidegate.rules.model_rules import model_groups
from tidegate.rules.promql import duration, number
from tidegate.rules.service_rules import service_groups
from tidegate.rules.yaml_text import NOTE
from tidegate.settings import Settings
from tools.generate.metrics.components import SECTIONS

_LABEL: Final = re.compile(r"\{\{ \$labels\.\w+ \}\}")
INTRODUCTION: Final = (
    "Names follow OpenTelemetry's conventions where there is one, units are base units. Each Python program "
    "also exports the usual `process_*` metrics. Whoever reads them ([dashboards](grafana.md), alerts, the "
    "autoscaler) asks for recorded series, never for a derivation of its own."
)


def metrics_page(settings: Settings) -> str:
    """docs/reference/metrics.md."""
    scrape = duration(settings.prometheus.scrape_seconds)
    lines = [
        f"<!-- {NOTE} -->",
        "# Metrics, recording rules and alerts",
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
            f"Recorded every {scrape}; the ratios, and what is told of a model, every 15 s, over 1h and 1d "
            "every minute. What has no data is missing, never NaN."
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
    seconds = number(settings.slo.latency_seconds)
    quantile, available = (
        number(share * 100) for share in (settings.slo.latency_quantile, settings.slo.availability)
    )
    lines += [
        "",
        "## Alerts",
        "",
        (
            f"For the objective in `tidegate.toml`: {quantile} % of requests within {seconds} s, {available} "
            "% without a 5xx. `critical` wants a person now, `warning` today."
        ),
        "",
        "| alert | severity | after | says |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| [{alert.name}](../runbooks/{alert.name}.md) | {alert.severity} | "
        f"{duration(alert.seconds) if alert.seconds else 'at once'} | "
        f"{_LABEL.sub('*…*', alert.summary)} |"
        for alert in alerts(settings)
    ]
    return "\n".join(lines) + "\n"
