"""The generated files of the chart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tidegate.rules.prometheus_config import render_config
from tidegate.rules.yaml_text import to_yaml
from tidegate.settings import Settings, setting_names
from tools.generate.chart.values_file import Value, read_values
from tools.generate.chart.values_page import values_page
from tools.generate.chart.values_schema import values_schema

FOLDER: Final = Path("deploy/helm/tidegate")
# The settings that the rules depend on. With other values of these, the chart's own rule files are wrong.
RULE_SETTINGS: Final = (
    "slo.latency_seconds",
    "slo.latency_quantile",
    "slo.until",
    "slo.availability",
    "gateway.queue_seconds",
    "replicas.command",
    "replicas.max",
    "replicas.start_seconds",
    "autoscaler.stale_seconds",
    "drift.psi_warning",
    "drift.psi_critical",
    "drift.samples",
    "drift.fast_samples",
    "drift.dataset_share",
    "drift.hold_seconds",
    "drift.outcomes",
    "drift.accuracy_drop_warning",
    "drift.accuracy_drop_critical",
    "drift.error_rise_warning",
    "drift.error_rise_critical",
    "drift.error_z",
    "drift.label_lag_seconds",
)
# The settings whose defaults the chart's templates read, beside those that it sets in values.yaml.
TEMPLATE_SETTINGS: Final = {
    "slots": {"per_replica"},
    "gateway": {"queue_seconds"},
    "replicas": {"min", "max", "start_seconds", "drain_seconds"},
}


def chart_files(settings: Settings) -> dict[Path, str]:
    """Path (in the project) and text of each generated file of the chart.

    Its rules and dashboards are links to those in observability/, which helm follows.
    """
    values = read_values()
    return {
        FOLDER / "files" / "rule-settings.json": _rule_settings(),
        FOLDER / "files" / "default-settings.json": _json(_default_settings(values)),
        FOLDER / "files" / "gateway-metrics.yaml": _gateway_relabelings(settings),
        FOLDER / "values.schema.json": values_schema(values),
        Path("docs/reference/kubernetes.md"): values_page(values),
    }


def _default_settings(values: Iterable[Value]) -> Mapping[str, Any]:
    """What counts where the values say nothing, or null, which takes the default in values.yaml away."""
    defaults = Settings().model_dump(mode="json", include=TEMPLATE_SETTINGS)
    (settings,) = (one for one in values if one.name == "settings")
    for section, fields in settings.default.items():
        defaults[section] = defaults.get(section, {}) | fields
    return defaults


def _rule_settings() -> str:
    """The default of each setting that the rules depend on, for the chart's own check."""
    defaults = {name: setting_names()[name] for name in RULE_SETTINGS}
    return _json(defaults)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"


def _gateway_relabelings(settings: Settings) -> str:
    """The gateway's metric_relabel_configs of prometheus.yml, in the notation of the Prometheus Operator."""
    jobs = yaml.safe_load(render_config(settings))["scrape_configs"]
    (gateway,) = (job for job in jobs if job["job_name"] == "gateway")
    relabelings = [_camel_case(one) for one in gateway["metric_relabel_configs"]]
    return to_yaml({"metricRelabelings": relabelings})


def _camel_case(relabeling: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name, value in relabeling.items():
        first, *others = name.split("_")
        found[first + "".join(each.capitalize() for each in others)] = value
    return found
