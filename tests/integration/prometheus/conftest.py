"""Real Prometheus servers: the bundled release, and a 3.x."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.components import unavailable
from support.processes.prometheus_release import Release
from tidegate.stack import prometheus


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
