"""Tidegate as it is installed from its wheel, without a checkout.

The demo (test_demo.py) and the tutorials (test_tutorials.py) run from the wheel, too.
"""

from __future__ import annotations

import os
import subprocess
import zipfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from support.components import unavailable
from support.processes.wheel import Wheel, working_directory
from tidegate.stack import prometheus

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    with working_directory(tmp_path) as folder:
        yield folder


def run(wheel: Wheel, folder: Path, *command: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [wheel.tidegate, *command],
        cwd=folder,
        env=wheel.environment({**os.environ, **variables}) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_the_wheel_has_one_top_level_package(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.path) as archive:
        names = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"tidegate"}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("loadgen", "plan", "seed"), "sha256"),
        (("import-model", "--help"), "Usage: tidegate import-model"),
        (("settings",), "settings file: none in this folder"),
    ],
    ids=" ".join,
)
def test_a_command_runs_without_a_checkout(
    wheel: Wheel, folder: Path, command: tuple[str, ...], expected: str
) -> None:
    code, output = run(wheel, folder, *command)
    assert code == 0, output
    assert expected in output


def test_setup_brings_prometheus_without_a_checkout(wheel: Wheel, folder: Path) -> None:
    cached = prometheus.cache_folder() / "prometheus"
    if not (cached / "prometheus").exists():
        unavailable(f"no Prometheus in {cached}: run `scripts/prometheus install`")
    # Installed before: whether the package can be had is not what this test is about.
    code, output = run(wheel, folder, "setup", PATH=f"{wheel.programs}:/usr/bin:/bin")
    assert code == 0, output
    assert f"installed: {cached / 'prometheus'}" in output
    assert run(wheel, folder, "--version") == (0, f"tidegate {version('tidegate')}\n")


def test_without_prometheus_a_sentence_says_how_to_get_it(
    wheel: Wheel, folder: Path, artefact: Path
) -> None:
    variables = {
        "PATH": str(wheel.programs),
        "TIDEGATE_CACHE": str(folder / "cache"),
        "TIDEGATE_MODEL__PATH": str(artefact),
    }
    code, output = run(wheel, folder, "up", "--detach", **variables)
    assert code == 1
    assert output.startswith(f"no prometheus on PATH or in {folder}/cache: ")
    assert "`tidegate setup`" in output
