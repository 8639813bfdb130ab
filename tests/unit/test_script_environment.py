"""`scripts/environment`: what it answers without an installation."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "environment", *arguments],
        env=os.environ | {"TIDEGATE_CACHE": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_environment_is_in_the_cache_and_is_absent_until_it_is_installed(tmp_path: Path) -> None:
    assert run(tmp_path, "path", "ray").stdout == f"{tmp_path}/ray\n"
    assert run(tmp_path, "has", "ray").returncode == 1


def test_a_name_without_a_lock_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "install", "torch")
    assert done.returncode == 1
    assert done.stderr == (
        "environment: there is no locks/torch.lock: name ray, bentoml or mlserver\n"
    )
