"""`tidegate demo` in a terminal, installed from the wheel, in a folder without a checkout."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from support.processes.running_stack import prepared
from support.processes.wheel import Wheel, working_directory

pytestmark = pytest.mark.e2e

DEADLINE_SECONDS = 300
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_the_demo_runs_the_main_job_and_keeps_the_stack_until_ctrl_c(
    tmp_path: Path, artefact: Path, wheel: Wheel
) -> None:
    with working_directory(tmp_path / "elsewhere") as folder:
        demonstrate(folder, artefact, wheel)


def demonstrate(folder: Path, artefact: Path, wheel: Wheel) -> None:
    # More replicas than processors would only start slowly.
    stack = prepared(folder, artefact, autoscaler={"tick_seconds": 2})
    environment = wheel.environment(stack.environment)
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [wheel.tidegate, "demo"],
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = read_until(ours, "Ctrl-C")
        os.write(ours, b"\x03")
        # There is no controlling terminal, so the key sends no signal: send it here.
        os.killpg(demo.pid, 2)
        shown += read_until(ours, "stopped")
        code = demo.wait(timeout=120)
    finally:
        if demo.poll() is None:
            os.killpg(demo.pid, 9)
            demo.wait()
        subprocess.run(
            [wheel.tidegate, "down"], cwd=folder, env=environment, timeout=120, check=False
        )
        os.close(ours)
    assert code == 0, shown[-4000:]
    for expected in (
        "1200 requests planned, 1200 sent, 1200 answered, 0 failed",
        "replicas went from 1 to",
        "1200 request events in the store for 1200 answers",
        "the objective is 0.5 s",
        "tidegate trace",
        "report.html",
    ):
        assert expected in shown
    summary = json.loads((folder / "runs" / "latest" / "summary.json").read_text())
    assert summary["response_p95_last_third_seconds"] <= 0.5
    assert (folder / "runs" / "latest" / "report.html").stat().st_size > 50_000


def read_until(terminal: int, text: str) -> str:
    """The output of the terminal up to this text, as one line without colours."""
    shown = ""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
            plain = re.sub(r"\s+", " ", ESCAPE.sub("", shown))
            if text in plain:
                return plain
    pytest.fail(f"the terminal never showed {text!r}: {shown[-4000:]}")
