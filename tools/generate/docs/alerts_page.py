"""docs/reference/alerts.md: every alert, with its severity, delay and runbook."""

from __future__ import annotations

import re
from typing import Final

from tidegate.rules.promql import duration, number
from tidegate.rules.rule_files import alerts
from tidegate.rules.yaml_text import NOTE
from tidegate.settings import Settings

_LABEL: Final = re.compile(r"\{\{ \$labels\.\w+ \}\}")


def alerts_page(settings: Settings) -> str:
    """docs/reference/alerts.md."""
    seconds = number(settings.slo.latency_seconds)
    quantile, available = (
        number(share * 100) for share in (settings.slo.latency_quantile, settings.slo.availability)
    )
    lines = [
        f"<!-- {NOTE} -->",
        "# Alerts",
        "",
        (
            f"For the objective in `tidegate.toml`: {quantile} % of requests within {seconds} s, {available} "
            "% without a 5xx or a response that its replica cut off. `critical` needs a person now, "
            "`warning` today. The rules are in `observability/prometheus/rules/alerts.yml`, how to route "
            "alerts to people in "
            "[the event pipeline](../explanation/event-pipeline.md#alerts)."
        ),
        "",
    ]
    lines += [
        f"- [{alert.name}](../runbooks/{alert.name}.md): {_LABEL.sub('*…*', alert.summary)} ({alert.severity}"
        f"{f', after {duration(alert.seconds)}' if alert.seconds else ''})"
        for alert in alerts(settings)
    ]
    return "\n".join(lines) + "\n"
