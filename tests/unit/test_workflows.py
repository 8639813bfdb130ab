"""The GitHub workflows: free of lint findings (also of actions that are not pinned), least permissions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.components import unavailable

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text()))


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_has_read_permission_only_and_a_timeout(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["timeout-minutes"] <= (180 if "schedule" in workflow[True] else 90)


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
