"""The workflows of GitHub: sound by their linters, pinned, and with no more rights than they need."""

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
def test_actions_are_pinned_by_commit_with_their_version_beside_it(path: Path) -> None:
    used = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_only_read_and_has_an_end(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= 90


def test_ci_runs_what_decides_whether_a_change_lands() -> None:
    steps = load(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert any(step.get("run", "").endswith(" .ci/run") for step in steps)


def test_compose_starts_the_stack_as_the_documents_say_and_verifies_it() -> None:
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
