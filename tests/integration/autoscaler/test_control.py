"""The autoscaler as a process: the default policy, and pauses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.eventually import eventually_async
from support.processes.autoscaler_process import Plant, Prometheus, Sidecar, started
from tidegate.lab.replay.replay import replay
from tidegate.resizer.server import make_app, serve_unix

pytestmark = pytest.mark.integration


def run_command(sidecar: Sidecar, *command: str) -> None:
    """Run `tidegate …` for the same data folder."""
    subprocess.run(
        [sys.executable, "-m", "tidegate", *command],
        cwd=sidecar.folder,
        env={"TIDEGATE_STACK__DATA_DIR": str(sidecar.folder / "data")},
        check=True,
        capture_output=True,
    )


async def test_a_pause_holds_the_number_until_it_is_resumed(sidecar: Sidecar, plant: Plant) -> None:
    run_command(sidecar, "pause", "--for", "1h")
    await eventually_async(lambda: sidecar.last()["reason"] == "paused")
    plant.in_system = 4.2
    await eventually_async(lambda: "else 1 → 3" in sidecar.events("decision")[-1]["message"])
    assert plant.count == 1
    assert "tidegate_autoscaler_paused 1.0" in await sidecar.metrics()

    run_command(sidecar, "resume")
    await eventually_async(lambda: plant.count == 3)
    said = [line for line in sidecar.said() if line.startswith(("paused", "the pause"))]
    assert said[0].startswith("paused until ")
    assert said[1:] == ["the pause has ended"]
    for event in sidecar.events("decision"):
        assert replay(event).explanation == event["message"]


async def test_a_dry_run_leaves_the_replicas_alone(
    plant: Plant, prometheus: Prometheus, tmp_path: Path, unused_tcp_port: int
) -> None:
    path = tmp_path / "control.sock"
    settings = {"TIDEGATE_AUTOSCALER__DRY_RUN": "true"}
    async with (
        serve_unix(make_app(plant), path),
        started(tmp_path, f"unix:{path}", prometheus.url, unused_tcp_port, **settings) as sidecar,
    ):
        await sidecar.sees()
        plant.in_system = 4.2
        await eventually_async(lambda: sidecar.last()["desired"] == 3)
        await sidecar.ticks(3)
        assert sidecar.events("decision")[-1]["message"].startswith("dry run: 1 → 3: ")
        assert "tidegate_autoscaler_dry_run 1.0" in await sidecar.metrics()
    assert plant.asked == []
