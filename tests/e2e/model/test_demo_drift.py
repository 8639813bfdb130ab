"""A short `tidegate demo-drift`: real months through a real stack, figures and alerts compared with numpy."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from support.components import IN_CI
from support.processes.running_stack import Stack, prepared

pytestmark = [pytest.mark.e2e, IN_CI]

MONTHS = 2
ROWS = 2000
Replayed = tuple[Stack, subprocess.CompletedProcess[str], Path]
TRACE = re.compile(r"<code>TIDEGATE_STACK__DATA_DIR=(\S+) tidegate trace ([0-9a-f]{32})")


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, artefact: Path) -> Replayed:
    """The stack after the replay, the finished command, and its report."""
    folder = tmp_path_factory.mktemp("demo-drift")
    stack = prepared(folder, artefact, drift={"segments": ["carrier"]})
    stack.environment["COLUMNS"] = "200"
    out = folder / "report.html"
    done = stack.run(
        *("tidegate", "demo-drift", "--months", str(MONTHS), "--rows", str(ROWS)),
        *("--seconds", "6", "--out", str(out)),
        seconds=400,
    )
    return stack, done, out


def with_data_dir(stack: Stack, folder: str) -> Stack:
    """The stack with commands that use another data folder."""
    return replace(stack, environment={**stack.environment, "TIDEGATE_STACK__DATA_DIR": folder})


def test_the_replay_succeeds_and_prints_its_checks(replayed: Replayed) -> None:
    _, done, _ = replayed
    assert done.returncode == 0, done.stdout + done.stderr
    output = " ".join(done.stdout.split())
    assert "✗" not in output
    for text in (
        "6,000 labels in the store, 6,000 sent",
        "each period's PSI equals numpy's on the same rows",
        "each period's accuracy equals numpy's on the same rows",
    ):
        assert text in output


def test_expected_accuracy_is_right_within_two_points_where_nothing_has_drifted(
    replayed: Replayed,
) -> None:
    _, done, _ = replayed
    lines = [line.split() for line in done.stdout.splitlines()]
    (control,) = (line for line in lines if line[:2] == ["control", "2,000"])
    assert control[-1] == "none"
    assert abs(float(control[4])) <= 2.0
    (march,) = (line for line in lines if line[:2] == ["Mar", "2,000"])
    # Real months have drifted, so their expected accuracy is not checked.
    assert "temp" in march


def test_each_example_of_the_report_has_the_command_for_its_request(replayed: Replayed) -> None:
    stack, _, out = replayed
    page = out.read_text(encoding="utf-8")
    assert "http://" not in page
    assert "origin" in page
    commands = TRACE.findall(page)
    assert len(commands) == 12
    # Each command sets the replay's own data folder.
    folder, trace = commands[0]
    shown = with_data_dir(stack, folder).run("tidegate", "trace", trace)
    assert shown.returncode == 0, shown.stderr
    assert "POST /predict" in shown.stdout


def test_a_report_can_be_written_from_the_store_alone(replayed: Replayed, tmp_path: Path) -> None:
    stack, replay, _ = replayed
    (folder,) = re.findall(
        r"TIDEGATE_STACK__DATA_DIR=(\S+) tidegate search '[^']*outcome'", replay.stdout
    )
    assert folder == str(stack.settings.stack.data_dir / "demo-drift")
    out = tmp_path / "model.html"
    done = with_data_dir(stack, folder).run(
        "tidegate", "monitor", "report", "--since", "1h", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("; 6000 labels\n")
    assert "drift unknown" in done.stdout
    # The stack is stopped, and its Prometheus too.
    assert done.stderr.startswith("no distributions: ")
    page = out.read_text(encoding="utf-8")
    assert '<th class="left">carrier' in page
    assert "tidegate trace " in page
