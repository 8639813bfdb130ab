"""`scripts/docker images`: what it fetches and builds."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script, with programs in the place of those that it calls: each notes its arguments."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "docker", tmp_path / "scripts")
    for name in ("healthy", "as-owner"):
        shutil.copy(ROOT / "scripts" / name, tmp_path / "scripts")
    for name in (
        *("Dockerfile", ".dockerignore", "docker-compose.yml", "locks", "pyproject.toml"),
        *("README.md", "LICENSE", "tidegate.toml", "tests/e2e/compose/images"),
    ):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    for name in ("service", "tidegate", "loadgen", "observability", "examples/own-app"):
        (tmp_path / name).mkdir(parents=True)
    # `pip download` makes a wheel, and Prometheus' path is asked for.
    _program(
        tmp_path / ".venv" / "bin" / "python",
        'echo "$@" >>python.log; [ "$1" != -c ] || echo "$PWD/LICENSE"',
    )
    _program(tmp_path / ".venv" / "bin" / "tidegate", "true")
    _program(tmp_path / "bin" / "docker", f'cat >/dev/null; echo "$@" >>{tmp_path}/docker.log')
    _program(tmp_path / "bin" / "apt-get", f'echo "$@" >>{tmp_path}/apt.log; exit 1')
    _program(tmp_path / "scripts" / "prometheus", "true")
    _program(tmp_path / "scripts" / "elasticsearch", f'[ "$1" != java ] || echo {tmp_path}/java')
    (tmp_path / "java").mkdir()
    (tmp_path / "cache" / "elasticsearch-9.2.8").mkdir(parents=True)
    return tmp_path


def _program(path: Path, command: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{command}\n")
    path.chmod(0o755)


def test_the_images_of_kubernetes_need_neither_the_load_generator_nor_alertmanager(
    checkout: Path,
) -> None:
    environment = {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "HOME": str(checkout)}
    for _ in range(2):
        done = subprocess.run(
            [checkout / "scripts" / "docker", "images", "kubernetes"],
            env=os.environ | environment | {"TIDEGATE_CACHE": str(checkout / "cache")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    fetched = [line for line in (checkout / "python.log").read_text().splitlines() if "pip" in line]
    # Once, though the script ran twice.
    assert [line.split("locks/")[1].split()[0] for line in fetched] == [
        "build.lock",
        "service.lock",
        "tidegate.lock",
    ]
    commands = (checkout / "docker.log").read_text().splitlines()
    targets = {
        command.split("--target ")[1].split()[0] for command in commands if "--target " in command
    }
    assert targets == {"elasticsearch", "prometheus"}
    composed = {
        command for command in commands if " build --build-arg" in command and "compose" in command
    }
    assert {command.split("PIP_NO_INDEX=1 ")[1] for command in composed} == {"secrets adopt"}
    assert not (checkout / "apt.log").exists()
