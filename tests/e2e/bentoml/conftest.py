"""The environment of BentoML, which `scripts/environment install bentoml` makes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.components import unavailable


@pytest.fixture(scope="session")
def bentoml_programs() -> Path:
    """The folder of BentoML's programs."""
    script = ROOT / "scripts" / "environment"
    done = subprocess.run(
        [script, "install", "bentoml"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        unavailable(f"BentoML could not be installed: {done.stdout}{done.stderr}")
    path = subprocess.run(
        [script, "path", "bentoml"], capture_output=True, text=True, check=True
    ).stdout
    return Path(path.strip()) / "bin"
