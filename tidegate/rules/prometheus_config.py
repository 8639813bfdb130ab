"""Renders the configuration of Prometheus from observability/prometheus/prometheus.yml.j2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import jinja2

from tidegate.observability_files.paths import observability_folder
from tidegate.rules.gateway_metrics import GATEWAY
from tidegate.rules.promql import duration
from tidegate.rules.ray_signals import PROXY_METRICS
from tidegate.settings import Settings

LOCAL: Final = "127.0.0.1"
ALERTMANAGER_PORT: Final = 9093


def render_config(
    settings: Settings,
    *,
    hosts: Mapping[str, str] | None = None,
    dns_name: str = "",
    retention_size: str = "",
) -> str:
    """Return the configuration for local mode or (with a DNS name) for Compose.

    Args:
        settings: the settings.
        hosts: hosts of `gateway`, `collector`, `autoscaler` and `watch`, if not this machine, and of
            `exporter`, `resizer` and `alertmanager`, which run in Compose only.
        dns_name: DNS name of all replicas, whose port is `replicas.first_port`; without it, Prometheus reads
            the replicas from targets/model.json, which the stack writes, or on Ray from the files that they
            write.
        retention_size: maximum size of the data, such as `2GB`. With it, the configuration sets the
        retention,
            which requires Prometheus 3; without it, the command line sets the retention.
    """
    at = hosts or {}
    environment = jinja2.Environment(  # noqa: S701  this is no HTML; `tojson` quotes
        loader=jinja2.FileSystemLoader(observability_folder() / "prometheus"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("prometheus.yml.j2").render(
        scrape_interval=duration(settings.prometheus.scrape_seconds),
        retention=settings.prometheus.retention,
        retention_size=retention_size,
        dns_name=dns_name,
        replica_port=settings.replicas.first_port,
        targets=_targets(settings),
        ray_ingress=settings.ray.ingress,
        ray_nodes=str(settings.ray.metrics_targets or ""),
        ray_metrics=PROXY_METRICS,
        ray_backend=re.escape(f"http-{settings.ray.application}"),
        gateway=f"{at.get('gateway', LOCAL)}:{settings.gateway.metrics_port}",
        gateway_port=settings.gateway.metrics_port,
        gateway_metrics=[metric.name for metric in GATEWAY],
        collector=f"{at.get('collector', LOCAL)}:{settings.collector.metrics_port}",
        autoscaler=(
            f"{at.get('autoscaler', LOCAL)}:{settings.autoscaler.metrics_port}"
            if settings.autoscaler.enabled
            else ""
        ),
        watch=(
            f"{at.get('watch', LOCAL)}:{settings.drift.watch_port}" if settings.drift.watch else ""
        ),
        exporter=f"{at['exporter']}:{settings.exporter.port}" if "exporter" in at else "",
        resizer=f"{at['resizer']}:{settings.resizer.port}" if "resizer" in at else "",
        alertmanager=f"{at['alertmanager']}:{ALERTMANAGER_PORT}" if "alertmanager" in at else "",
        prometheus=f"{LOCAL}:{settings.prometheus.port}",
    )


def _targets(settings: Settings) -> str:
    """The files with the addresses of replicas; a relative path is relative to the configuration."""
    if settings.ray.ingress == "none":
        return "targets/model.json"
    return str(settings.targets_dir.absolute() / "*.json")
