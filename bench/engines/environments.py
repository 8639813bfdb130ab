"""Environments of comparable projects, which are no dependencies, in the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tidegate.stack.prometheus import cache_folder


def installed(name: str, *pinned: str) -> Path:
    """The folder of the programs of a virtual environment with these packages; created if missing."""
    folder = cache_folder() / name
    if not (folder / ".ready").exists():
        print(
            f"installing {', '.join(pinned)} into {folder} (a minute)", file=sys.stderr, flush=True
        )
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run(
            [folder / "bin" / "python", "-m", "pip", "install", "-q", *pinned], check=True
        )
        (folder / ".ready").touch()
    return folder / "bin"
