"""Prometheus: which one, its files in the data folder, the replicas it reads, and how to start it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidegate.rules.prometheus_config import render_config
from tidegate.rules.promql import duration
from tidegate.rules.rule_files import write_rule_files
from tidegate.runtime.atomic_files import write_atomically
from tidegate.settings import Settings

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
            f"no {name} on PATH or in {cache_folder()}: install Prometheus 2.42 or later and put it on PATH "
            "(in a checkout of Tidegate, `scripts/prometheus install` installs it)"
        )
    return Path(found)


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
