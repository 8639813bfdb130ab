"""Whether Prometheus has loaded all rules and targets, also from a folder whose name is a pattern."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.harnesses.event_files import MemoryLog
from support.ports import free_port, free_ports
from support.processes.prometheus_release import Release
from tidegate.rules.rule_files import rule_files
from tidegate.runtime.http_probe import probe_session
from tidegate.settings import Settings
from tidegate.stack import prometheus
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.process_supervisor import ProcessSupervisor
from tidegate.stack.supervisor.programs import Programs
from tidegate.stack.supervisor.prometheus_monitor import PrometheusMonitor, expected
from tidegate.stack.supervisor.status import FiringAlert

pytestmark = pytest.mark.integration
DEADLINE_SECONDS = 60.0
REPLICAS = {"flights-1": "127.0.0.1:9", "flights-2": "127.0.0.1:10"}

FIRING = """
groups:
- name: own
  rules:
  - alert: Own
    expr: vector(1)
    labels: {severity: critical}
    annotations: {summary: It always fires.}
"""


@asynccontextmanager
async def monitored(folder: Path) -> AsyncIterator[PrometheusMonitor]:
    """A Prometheus as `tidegate up` starts it, with one alert instead of all if there is a file `less`."""
    ports = free_ports(4)
    settings = Settings.model_validate(
        {
            "gateway": {"metrics_port": ports},
            "collector": {"metrics_port": ports + 1},
            "autoscaler": {"metrics_port": ports + 2},
            "drift": {"watch_port": ports + 3},
            "prometheus": {"port": free_port()},
        }
    )
    layout = Layout(folder)
    layout.make()
    program = Programs(settings, layout, dict(os.environ), Path.cwd()).prometheus()
    prometheus.write_targets(layout.prometheus, REPLICAS)
    should = expected(layout.prometheus)
    if (folder / "less").exists():
        (layout.prometheus / "rules" / "alerts.yml").write_text(FIRING, encoding="utf-8")
    event_log = MemoryLog("stack").log
    async with probe_session() as (probe, fetch):
        process = ProcessSupervisor(program, event_log, probe)
        process.start()
        try:
            assert await process.first_ready() == ""
            yield PrometheusMonitor(
                program.address, should, lambda: len(REPLICAS), fetch, event_log
            )
        finally:
            await process.stop()


@pytest.fixture
def on_path(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{release.prometheus.parent}:{os.environ['PATH']}")


@pytest.mark.usefixtures("on_path")
async def test_a_folder_of_any_name_has_all_rules_and_targets(tmp_path: Path) -> None:
    folder = tmp_path / "what? [b-a] {a,b} * \\"
    async with monitored(folder) as monitor:
        assert monitor.should.rules > 100
        assert set(monitor.should.targets) == {
            *("gateway", "collector", "autoscaler", "watch", "prometheus"),
        }
        assert await monitor.first_problem(DEADLINE_SECONDS) == ""
        # Prometheus follows the list of replicas, which it does not read from its configuration.
        prometheus.write_targets(folder / "prometheus", {"flights-1": "127.0.0.1:9"})
        monitor.replicas = lambda: 1
        assert await monitor.first_problem(DEADLINE_SECONDS) == ""


@pytest.mark.usefixtures("on_path")
async def test_missing_rules_are_counted_and_logged_once_and_firing_alerts_are_read(
    tmp_path: Path,
) -> None:
    (tmp_path / "less").touch()
    async with monitored(tmp_path) as monitor:
        alerts = rule_files(Settings())["alerts.yml"].count("- alert: ")
        rules = monitor.should.rules
        await monitor.first_problem(1.0)
        text = f"Prometheus has loaded {rules - alerts + 1} of {rules} rules"
        assert (await monitor.first_problem(0.0)).startswith(text)
        monitor.clock = iter([0.0, 31.0, 40.0]).__next__
        await monitor.check()
        assert monitor.problem == ""  # it may just be reading a new list
        for _ in range(2):
            await monitor.check()
            assert monitor.problem.startswith(text)
        monitor.clock = time.monotonic
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not monitor.alerts:
                await monitor.check()
        assert monitor.alerts == [
            FiringAlert(name="Own", severity="critical", summary="It always fires.")
        ]
    logged = [one for one in monitor.event_log.recent if one.action == "prometheus"]
    assert [one.message.startswith(text) for one in logged] == [True]
