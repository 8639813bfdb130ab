"""Which alerts a Prometheus raises that finds no target of a job, and for jobs that it does not have."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from support import prometheus_queries
from support.eventually import eventually
from support.ports import free_port
from support.processes.prometheus_release import Release
from tidegate.rules.prometheus_config import render_config
from tidegate.rules.rule_files import write_rule_files
from tidegate.settings import Settings
from tidegate.stack import prometheus

pytestmark = pytest.mark.integration


def test_a_component_without_a_target_is_down_if_it_belongs_to_the_deployment(
    release: Release, folder: Path
) -> None:
    settings = Settings.model_validate({"prometheus": {"port": free_port()}})
    write_rule_files(settings, folder / "rules")
    config = folder / "prometheus.yml"
    # Names that no server knows, as those of Services without a pod.
    hosts = {"gateway": "gateway.invalid", "collector": "collectors.invalid"}
    config.write_text(
        render_config(settings, hosts=hosts, dns_name="replicas.invalid", discover=True)
    )
    command = prometheus.argv(settings, config, folder / "data", binary=release.prometheus)

    def raised() -> set[str]:
        url = f"http://127.0.0.1:{settings.prometheus.port}"
        try:
            alerts = prometheus_queries.read(url, "alerts")["alerts"]
        except urllib.error.URLError:
            return set()
        return {one["labels"]["alertname"] for one in alerts}

    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        missing = {"GatewayDown", "CollectorDown"}
        eventually(lambda: missing <= raised(), f"the alerts {missing}")
        assert raised() == missing
    finally:
        process.kill()
        process.wait()
