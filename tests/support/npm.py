"""Packages of npm."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.checkout import ROOT
from support.components import unavailable


def npm_package(name: str) -> Path:
    """The folder of a package that scripts/npm knows; without it the test is skipped."""
    done = subprocess.run(
        [ROOT / "scripts" / "npm", name], capture_output=True, text=True, check=False
    )
    if done.returncode:
        unavailable(done.stderr.strip())
    return Path(done.stdout.strip())
