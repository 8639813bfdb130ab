"""Renders the configuration of Prometheus from observability/prometheus/prometheus.yml.j2."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import jinja2

from tidegate.observability_files.paths import observability_folder
from tidegate.rules.gateway_metrics import GATEWAY
from tidegate.rules.promql import duration
from tidegate.rules.ray_signals import PROXY_METRICS
from tidegate.settings import Settings

LOCAL: Final = "127.0.0.1"
ALERTMANAGER_PORT: Final = 9093
REPLICA_JOB: Final = "model"
# Each with a host of its own.
HOST_JOBS: Final = (
    *("gateway", "collector", "autoscaler", "watch"),
    *("exporter", "resizer", "alertmanager"),
)
REQUESTS_PATH: Final = "/metrics/requests"
"""Where the gateway serves the times of requests, for a program (`replicas.command`) that has no metrics."""
JOBS: Final = (REPLICA_JOB, *HOST_JOBS, "prometheus")
"""All scrape jobs."""


@dataclass(frozen=True, slots=True)
class Job:
    """A scrape job whose targets have one host name and one port."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"


def render_config(
    settings: Settings,
    *,
    hosts: Mapping[str, str] | None = None,
    dns_name: str = "",
    discover: bool = False,
    dns_type: Literal["A", "AAAA"] = "A",
    retention_size: str = "",
) -> str:
    """Return the configuration for local mode or (with a DNS name) for Compose and Kubernetes.

    Args:
        settings: the settings.
        hosts: hosts of `gateway`, `collector`, `autoscaler` and `watch`, if not this machine, and of
            `exporter`, `resizer` and `alertmanager`, which do not run in local mode.
        dns_name: DNS name of all replicas, whose port is `replicas.first_port`; without it, Prometheus reads
            the replicas from targets/model.json, which the stack writes, or on Ray from the files that they
            write.
        discover: each host but `alertmanager` is a DNS name of any number of addresses, as of a headless
            Service of Kubernetes; components without a host do not run.
        dns_type: the record type of DNS names: A for IPv4, AAAA for IPv6.
        retention_size: maximum size of the data, such as `2GB`. With it, the configuration sets the
            retention, which requires Prometheus 3; without it, the command line sets the retention.
    """
    at = hosts or {}
    jobs = {job.name: job for job in _jobs(settings, at, default="" if discover else LOCAL)}
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
        gateway=jobs.pop("gateway", None),
        requests_path=REQUESTS_PATH if settings.replicas.command else "",
        gateway_port=settings.gateway.metrics_port,
        jobs=jobs.values(),
        discover=discover,
        dns_type=dns_type,
        gateway_metrics=[metric.name for metric in GATEWAY],
        alertmanager=f"{at['alertmanager']}:{ALERTMANAGER_PORT}" if "alertmanager" in at else "",
        prometheus=f"{LOCAL}:{settings.prometheus.port}",
    )


def _jobs(settings: Settings, at: Mapping[str, str], default: str) -> Iterator[Job]:
    """The jobs of one host each. Where `default` is empty, those without a host do not run."""
    ports = {
        "gateway": settings.gateway.metrics_port,
        "collector": settings.collector.metrics_port,
        "autoscaler": settings.autoscaler.metrics_port if settings.autoscaler.enabled else 0,
        "watch": settings.drift.watch_port if settings.drift.watch else 0,
    }
    for name, port in ports.items():
        if port and (host := at.get(name, default)):
            yield Job(name, host, port)
    for name, port in (("exporter", settings.exporter.port), ("resizer", settings.resizer.port)):
        if name in at:
            yield Job(name, at[name], port)


def _targets(settings: Settings) -> str:
    """The files with the addresses of replicas; a relative path is relative to the configuration."""
    if settings.ray.ingress == "none":
        return "targets/model.json"
    return str(settings.targets_dir.absolute() / "*.json")
