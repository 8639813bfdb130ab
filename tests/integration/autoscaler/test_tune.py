"""`tidegate tune` on the traffic that a real Prometheus has recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.eventually import eventually
from support.processes.prometheus_of_samples import prometheus_of_samples
from tidegate.cli import app

pytestmark = pytest.mark.integration

SERIES = "service:arrival_rate:1m"
MINUTES = 90


def test_recorded_traffic_is_tuned_for(
    prometheus_program: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> None:
    begin = int(time.time()) - 60 * MINUTES
    lines = [f"{SERIES} {5 + minute % 30} {begin + 60 * minute}" for minute in range(MINUTES)]
    samples = "\n".join([f"# TYPE {SERIES} gauge", *lines, "# EOF", ""])
    port = unused_tcp_port_factory()
    words = ["tune", "--from-prometheus", "80m", "--prometheus", f"http://127.0.0.1:{port}"]
    words += ["--policy", "static", "--parts", "2", "--json"]

    with prometheus_of_samples(prometheus_program, tmp_path, port, samples):

        def tuned() -> str | None:
            result = CliRunner().invoke(app, words)
            return result.stdout if result.exit_code == 0 else None

        found = json.loads(str(eventually(tuned, "Prometheus answers", 30)))
    # 80 minutes of the maximum of replicas, which are no more than they cost.
    assert found["best"] == "sloq"
    assert found["totals"]["static"]["replica_seconds"] > found["totals"]["sloq"]["replica_seconds"]
