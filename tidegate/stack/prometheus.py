"""Prometheus: which one, its configuration and rules, the replicas it reads, and how to start it.

The configuration is observability/prometheus/prometheus.yml.j2. The rules are made for the settings in
force, so that an objective set in the environment reaches them too; with the repository's own settings they
are the files in observability/prometheus/rules/.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jinja2

from tidegate.observability_files.paths import observability_folder
from tidegate.rules.gateway_metrics import GATEWAY
from tidegate.rules.promql import duration
from tidegate.rules.rule_files import write_rule_files
from tidegate.runtime.atomic_files import write_atomically
from tidegate.settings import Settings

LOCAL: Final = "127.0.0.1"
ALERTMANAGER_PORT: Final = 9093
# The origins whose scripts may read its API, as a regular expression. By default each page in the browser
# may. This matches none: an origin is never empty, and Prometheus' own page needs no permission.
CORS_ORIGIN: Final = "^$"


class PrometheusError(RuntimeError):
    """There is no Prometheus. The text says what to do."""


def prometheus_binary() -> Path:
    """PATH's prometheus, else the one that scripts/prometheus put into the cache.

    Raises:
        PrometheusError: neither is to be had.
    """
    return _program("prometheus")


def promtool_binary() -> Path:
    """The promtool that belongs to it.

    Raises:
        PrometheusError: there is none.
    """
    return _program("promtool")


def cache_folder() -> Path:
    """Where installed programs are kept: `TIDEGATE_CACHE`, else ~/.cache/tidegate."""
    return Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")


def _program(name: str) -> Path:
    found = shutil.which(name) or shutil.which(name, path=cache_folder() / "prometheus")
    if found is None:
        raise PrometheusError(
            f"there is no {name} on PATH and none in {cache_folder()}: run `scripts/prometheus install`"
        )
    return Path(found)


def render_config(
    settings: Settings,
    *,
    hosts: Mapping[str, str] | None = None,
    dns_name: str = "",
    retention_size: str = "",
) -> str:
    """The configuration's text, for one machine or (with a DNS name) for Compose.

    Args:
        settings: those in force.
        hosts: where `gateway`, `collector`, `autoscaler` and `watch` run, if not on this machine; and
            `exporter`, `resizer` and `alertmanager`, which only Compose has.
        dns_name: the name under which every replica is known, with `replicas.first_port` as their port;
            else they stand in a file that `write_targets` writes.
        retention_size: how much it keeps at most, as `2GB`. With it, the retention stands in the
            configuration, which takes Prometheus 3; without it, the flags of `argv` set it.
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
        gateway=f"{at.get('gateway', LOCAL)}:{settings.gateway.metrics_port}",
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


def write_config(settings: Settings, folder: Path) -> Path:
    """Write prometheus.yml and its rules into the folder, and an empty list of replicas if there is none.

    Args:
        settings: those in force.
        folder: made if it is not there.

    Returns:
        The configuration's path.

    Raises:
        FileNotFoundError: observability/ is not there.
        OSError: the folder cannot be written.
    """
    write_rule_files(settings, folder / "rules")
    if not _targets(folder).exists():
        write_targets(folder, {})
    config = folder / "prometheus.yml"
    config.write_text(render_config(settings), encoding="utf-8")
    return config


def argv(settings: Settings, config: Path, data: Path) -> list[str]:
    """How to start it in the foreground.

    Raises:
        PrometheusError: there is none.
    """
    return [
        str(prometheus_binary()),
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--storage.tsdb.retention.time={settings.prometheus.retention}",
        f"--web.listen-address={_bracketed(settings.stack.host)}:{settings.prometheus.port}",
        f"--query.lookback-delta={duration(_lookback_seconds(settings))}",
        f"--web.cors.origin={CORS_ORIGIN}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]


def _lookback_seconds(settings: Settings) -> float:
    """How long a series counts after its last sample.

    When Prometheus stops, it cannot mark what it read as ended. With its default of 5 minutes, the replicas
    of the run before would be summed with today's, and the oldest signal would be theirs.
    """
    return max(10.0, 5 * settings.prometheus.scrape_seconds)


def write_targets(folder: Path, replicas: Mapping[str, str]) -> None:
    """Tell Prometheus which replicas to read; it notices within a second.

    Args:
        folder: the one given to `write_config`.
        replicas: host:port of each replica's metrics, by its name.

    Raises:
        OSError: the folder cannot be written.
    """
    path = _targets(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = [
        {"targets": [address], "labels": {"replica": name}} for name, address in replicas.items()
    ]
    # Atomically, because Prometheus may read it at any time. The supervisor writes it again at its start.
    write_atomically(path, json.dumps(groups, indent=1), durable=False)


def _targets(folder: Path) -> Path:
    return folder / "targets" / "model.json"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
