"""Real Prometheus servers: the one in use, and a 3.x where one has been built."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

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
            if os.environ.get("TIDEGATE_REQUIRE_ALL") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))
    # Building it takes five minutes: whoever wants both puts it there, nobody has to.
    folder = prometheus.cache_folder() / "prometheus-3"
    found = [shutil.which(name, path=folder) for name in ("prometheus", "promtool")]
    if None in found:
        pytest.skip(f"no Prometheus 3 in {folder}: run `scripts/prometheus build-3` (minutes)")
    return Release(folder / "prometheus", folder / "promtool")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its configuration and data."""
    return tmp_path / "a prometheus"
