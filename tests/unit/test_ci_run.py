"""`.ci/run`: which suites it runs, and what it says when some fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINES = ["test-ray", "test-bentoml"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script, and with programs in the place of those that it calls.

    `make` notes its target, and fails if a file of that name exists. Kubernetes is built if the file `built`
    exists.
    """
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for name in ("setup", "docker", "prometheus"):
        _program(tmp_path / "scripts" / name, "")
    _program(tmp_path / "scripts" / "kubernetes", '[ "$1" != has ] || [ -e built ]')
    _program(tmp_path / "bin" / "make", 'echo "$2" >>targets; [ ! -e "$2" ]')
    return tmp_path


def _program(path: Path, command: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{command}\n")
    path.chmod(0o755)


def run(checkout: Path) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What it printed, and the targets of make."""
    done = subprocess.run(
        [checkout / ".ci" / "run"],
        env=os.environ | {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, (checkout / "targets").read_text().split()


def test_every_suite_runs_where_kubernetes_is_built(checkout: Path) -> None:
    (checkout / "built").touch()
    done, targets = run(checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(targets) == sorted(["test", "test-kubernetes", *ENGINES])


def test_without_kubernetes_one_line_says_what_is_left_out(checkout: Path) -> None:
    done, targets = run(checkout)
    assert done.returncode == 0
    assert targets == ["test", *ENGINES]
    (line,) = [one for one in done.stdout.splitlines() if "kubernetes" in one]
    assert line.startswith("ci: make test-kubernetes is left out: Kubernetes is not built")


def test_after_a_failure_the_others_run_and_the_last_line_names_it(checkout: Path) -> None:
    (checkout / "test").touch()
    (checkout / "test-ray").touch()
    done, targets = run(checkout)
    assert targets == ["test", *ENGINES]
    assert (done.returncode, done.stderr) == (1, "ci: failed: test test-ray\n")
