"""The GitHub workflows: free of lint findings, pinned, and with the least permissions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.components import unavailable

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text()))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_the_version_in_a_comment(path: Path) -> None:
    used = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_read_permission_only_and_a_timeout(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= (180 if "schedule" in workflow[True] else 90)


def test_ci_runs_the_script_that_every_change_must_pass() -> None:
    steps = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert any(step.get("run", "").endswith(" .ci/run") for step in steps)


def test_the_nightly_workflow_runs_each_night_what_ci_leaves_to_it() -> None:
    workflow = load(ROOT / ".github/workflows/nightly.yml")
    (schedule,) = workflow[True]["schedule"]  # YAML reads the key `on` as true
    minute, hour, *days = schedule["cron"].split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert days == ["*"] * 3
    steps = workflow["jobs"]["test"]["steps"]
    assert any(step.get("run", "").endswith(" make nightly") for step in steps)


def test_the_compose_workflow_starts_the_stack_as_documented_and_verifies_it() -> None:
    steps = load(ROOT / ".github/workflows/compose.yml")["jobs"]["verify"]["steps"]
    commands = "\n".join(step.get("run", "") for step in steps)
    assert "docker compose up --wait --wait-timeout 900" in commands
    assert "tidegate verify --wait 120" in commands


def test_actionlint_finds_nothing() -> None:
    installed = run(ROOT / "scripts" / "actionlint", "install")
    if installed.returncode != 0:
        unavailable(installed.stderr.strip())
    done = run(ROOT / "scripts" / "actionlint", *WORKFLOWS)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_zizmor_finds_nothing() -> None:
    zizmor = Path(sys.executable).parent / "zizmor"
    done = run(zizmor, "--offline", "--no-progress", "--persona=pedantic", *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr
