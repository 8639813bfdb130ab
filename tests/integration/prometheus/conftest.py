"""Real Prometheus servers: the bundled release, and a 3.x."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support.components import unavailable
from support.processes.prometheus_release import Release
from tidegate.rules.rule_files import write_rule_files
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tools.generate.promtool.case_types import RecordingCase
from tools.generate.promtool.promtool_files import recording_tests


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


Record = Callable[[Settings, Sequence[RecordingCase]], None]


@pytest.fixture
def record(tmp_path: Path, promtool: Callable[..., None]) -> Record:
    """Checks what the rules for these settings record in each case."""

    def check(settings: Settings, cases: Sequence[RecordingCase]) -> None:
        write_rule_files(settings, tmp_path / "rules")
        (tmp_path / "tests").mkdir()
        file = tmp_path / "tests" / "cases.yml"
        file.write_text(recording_tests(cases))
        promtool("test", "rules", file)

    return check


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Its configuration and data."""
    return tmp_path / "a prometheus"
