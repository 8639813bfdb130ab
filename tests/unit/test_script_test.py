"""`scripts/test`: tests that failed in parallel run once more alone, and are named at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILS_ONCE = """
from pathlib import Path

def test_that_fails_once():
    seen = Path(__file__).with_suffix(".seen")
    first = not seen.exists()
    seen.touch()
    assert not first

def test_that_passes():
    with Path(__file__).with_suffix(".runs").open("a") as runs:
        runs.write("once")
"""
IN_ORDER = "pytestmark = pytest.mark.in_order"
FAILS = """
def test_with_a_fault():
    assert False
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the script and this environment, without tests."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "test", tmp_path / "scripts" / "test")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name, command in (("pytest", f'"{sys.executable}" -m pytest'), ("python", sys.executable)):
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        program.chmod(0o755)
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p xdist.plugin\nmarkers =\n    in_order: as in pyproject.toml\n"
    )
    return tmp_path


def run(checkout: Path) -> tuple[int, list[str]]:
    """The exit code and the lines of the output."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "TIDEGATE"))}
    done = subprocess.run(
        [checkout / "scripts" / "test"],
        # Two workers, which load the one plugin that the script needs: that takes a third of the time.
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


def test_tests_that_failed_once_are_repeated_and_named_in_the_last_lines(checkout: Path) -> None:
    (checkout / "test_flaky.py").write_text(FAILS_ONCE)
    (checkout / "test_chain.py").write_text(f"import pytest\n{IN_ORDER}\n{FAILS_ONCE}")
    status, lines = run(checkout)
    assert status == 0
    assert lines[-3].startswith("test: failed in parallel and passed alone")
    assert lines[-2:] == [
        "test:   test_chain.py::test_that_fails_once",
        "test:   test_flaky.py::test_that_fails_once",
    ]
    # The others of its file run again only if it needs them.
    assert (checkout / "test_flaky.runs").read_text() == "once"
    assert (checkout / "test_chain.runs").read_text() == "onceonce"


def test_a_test_that_fails_again_is_not_named_as_passed(checkout: Path) -> None:
    (checkout / "test_flaky.py").write_text(FAILS_ONCE)
    (checkout / "test_fault.py").write_text(FAILS)
    # Pytest keeps the failures of an earlier run whose tests are gone.
    earlier = checkout / ".pytest_cache" / "v" / "cache" / "lastfailed"
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{"test_gone.py::test_with_a_fault": true}')
    status, lines = run(checkout)
    assert status == 1
    assert [line for line in lines if line.startswith("test:   ")] == [
        "test:   test_flaky.py::test_that_fails_once"
    ]
