"""The check that containers can read the checkout."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tidegate.provision.checkout_permissions import PATHS, unreadable_problem

ROOT = Path(__file__).parents[3]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The same file names, written with umask 077."""
    names = ("tidegate.toml", "observability/kibana/kibana.yml", "models/.gitkeep", "README.md")
    before = os.umask(0o077)
    try:
        for path in (tmp_path / "clone" / name for name in names):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("any")
    finally:
        os.umask(before)
    return tmp_path / "clone"


def test_a_clone_with_umask_077_is_reported_with_the_command_that_repairs_it(clone: Path) -> None:
    problem = unreadable_problem(clone)
    assert problem.startswith("tidegate.toml and 5 more files are readable only by their owner")
    command = re.search(r"`(chmod [^`]+)`", problem)
    assert command is not None
    subprocess.run(["sh", "-c", command[1]], cwd=clone, check=True)
    assert unreadable_problem(clone) == ""
    assert (clone / "README.md").stat().st_mode & 0o077 == 0, "no container reads it"


def test_all_mounted_paths_are_checked() -> None:
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")
    mounted = set(re.findall(r"- (?:\$\{\w+:-)?\./([\w.-]+)[^:]*:/", compose))
    mounted |= set(re.findall(r"\[\./([\w.-]+)[^:]*:/", compose))
    assert {"tidegate.toml", "observability", "models"} <= mounted
    assert mounted - {"secrets", "runs"} <= set(PATHS), (
        "root reads secrets, the load generator owns runs"
    )
