"""docs/reference/metrics.md: every metric and recorded series."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from tidegate.rules.promql import duration
from tidegate.rules.recording import Recording
from tidegate.rules.rule_files import model_groups
from tidegate.rules.service_rules import service_groups
from tidegate.rules.yaml_text import NOTE
from tidegate.settings import Settings
from tools.generate.metrics import SECTIONS

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
        lines += ["", f"## {title}", ""]
        lines += [
            f"- `{metric.name}{_labels(metric.labels)}`, {metric.kind}: {metric.meaning}"
            for metric in metrics
        ]
    lines += [
        "",
        "## Recording rules",
        "",
        (
            f"Recorded every {scrape}; ratios and the series of a model every 15 s, those over 1h and 1d "
            "every minute. The end of a name is the window that it is over; `now` is none. A series without "
            "data is missing, never NaN."
        ),
        "",
    ]
    groups = (*service_groups(settings.slo), *model_groups(settings.drift))
    lines += _recorded(recording for group in groups for recording in group.recordings)
    return "\n".join(lines) + "\n"


def _labels(labels: Sequence[str]) -> str:
    return f"{{{','.join(labels)}}}" if labels else ""


def _recorded(recordings: Iterable[Recording]) -> list[str]:
    """One row for all windows of a series that mean the same."""
    windows: dict[tuple[str, str], list[str]] = {}
    for recording in recordings:
        series, _, window = recording.name.rpartition(":")
        meaning = re.sub(rf",? over {window}\b", "", recording.meaning)
        windows.setdefault((series, meaning), []).append(window)
    return [
        f"- `{series}:{first}`{''.join(f', `{window}`' for window in others)}: {meaning}"
        for (series, meaning), (first, *others) in windows.items()
    ]
