"""Prometheus in local mode: its program, its files in the data folder, and its scrape targets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tidegate.rules.prometheus_config import render_config
from tidegate.rules.promql import duration
from tidegate.rules.rule_files import write_rule_files
from tidegate.runtime.atomic_files import write_atomically
from tidegate.settings import Settings

# A regular expression of the origins whose scripts may read the API; the default allows every web page.
# This matches none: an origin is never empty, and Prometheus' own page needs no permission.
CORS_ORIGIN: Final = "^$"
CONFIG: Final = "prometheus.yml"
RULES: Final = "rules"

INSTALL_SCRIPT: Final = Path(__file__).with_name("prometheus.sh")
"""In a checkout, scripts/prometheus is a link to it."""


class PrometheusError(RuntimeError):
    """There is no Prometheus. The text says what to do."""


def prometheus_binary() -> Path:
    """The prometheus on PATH, else the one that scripts/prometheus installed in the cache.

    Raises:
        PrometheusError: there is neither.
    """
    return _program("prometheus")


def promtool_binary() -> Path:
    """The promtool on PATH, else the one in the cache.

    Raises:
        PrometheusError: there is none.
    """
    return _program("promtool")


def install() -> int:
    """Install both programs into the cache, if they are not on PATH. Returns the exit code of the script."""
    return subprocess.run(["bash", str(INSTALL_SCRIPT), "install"], check=False).returncode


def cache_folder() -> Path:
    """The folder of installed programs: `TIDEGATE_CACHE`, else ~/.cache/tidegate."""
    return Path(os.environ.get("TIDEGATE_CACHE") or Path.home() / ".cache" / "tidegate")


def _program(name: str) -> Path:
    found = shutil.which(name) or shutil.which(name, path=cache_folder() / "prometheus")
    if found is None:
        raise PrometheusError(
            f"no {name} on PATH or in {cache_folder()}: install Prometheus 2.42 or later and put it on PATH "
            "(`tidegate setup` installs it)"
        )
    return Path(found)


def write_config(settings: Settings, folder: Path) -> Path:
    """Write prometheus.yml and its rules into the folder, and an empty list of targets if there is none.

    Returns:
        The configuration's path.

    Raises:
        FileNotFoundError: observability/ is missing.
        OSError: the folder cannot be written.
    """
    write_rule_files(settings, folder / RULES)
    if not _targets(folder).exists():
        write_targets(folder, {})
    config = folder / CONFIG
    config.write_text(render_config(settings), encoding="utf-8")
    return config


def argv(settings: Settings, config: Path, data: Path, *, binary: Path | None = None) -> list[str]:
    """The command that runs it in the foreground.

    Args:
        settings: those in force.
        config: its configuration. Prometheus takes the folder of this path as a part of patterns: with the
            file's name alone, and its folder as the working directory, the folder may have any name.
        data: an absolute path.
        binary: instead of the one in use.

    Raises:
        PrometheusError: there is none.
    """
    binary = (binary or prometheus_binary()).absolute()
    # Debian's Prometheus looks for the files of its page under /usr, where its package puts them;
    # scripts/prometheus puts them beside the program.
    page = binary.parent / "web"
    return [
        str(binary),
        *([f"--web.local-assets={page}"] if page.is_dir() else []),
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
    """How long a series stays in query results after its last sample.

    A Prometheus that stops writes no staleness markers. With the default of 5 minutes, queries after a
    restart would add up the replicas of the previous run and of this one, and the oldest signal would be
    stale.
    """
    return max(10.0, 5 * settings.prometheus.scrape_seconds)


def write_targets(folder: Path, replicas: Mapping[str, str]) -> None:
    """Write host:port of each replica's metrics, by its name; Prometheus reloads the file within a second.

    Raises:
        OSError: the folder cannot be written.
    """
    path = _targets(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    groups = [
        {"targets": [address], "labels": {"replica": name}} for name, address in replicas.items()
    ]
    # Atomically, because Prometheus may read it at any time. The supervisor rewrites it at its start.
    write_atomically(path, json.dumps(groups, indent=1), durable=False)


def _targets(folder: Path) -> Path:
    return folder / "targets" / "model.json"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
