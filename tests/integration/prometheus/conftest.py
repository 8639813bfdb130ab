"""Real Prometheus servers: the one in use, and a 3.x."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.components import unavailable
from tidegate.stack import prometheus


@dataclass(frozen=True)
class Release:
    """A Prometheus and its promtool."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str, cwd: Path) -> None:
        """Run promtool; its output is the failure's text."""
        done = subprocess.run(
            [self.promtool, *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=["in use", "3.x"])
def release(request: pytest.FixtureRequest) -> Release:
    if request.param == "in use":
        try:
            return Release(prometheus.prometheus_binary(), prometheus.promtool_binary())
        except prometheus.PrometheusError as error:
            unavailable(str(error))
    folder = prometheus.cache_folder() / "prometheus-3"
    if None in (shutil.which(name, path=folder) for name in ("prometheus", "promtool")):
        unavailable(f"no Prometheus 3 in {folder}: run `scripts/prometheus build-3` (minutes)")
    return Release(folder / "prometheus", folder / "promtool")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its configuration and data."""
    return tmp_path / "a prometheus"
