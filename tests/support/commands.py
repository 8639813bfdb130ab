"""Commands that a test runs to their end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

SECONDS = 300.0


def run(
    *command: str | Path, timeout: float = SECONDS, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail; the options are those of `subprocess.run`."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, **options
    )


def output(*command: str | Path, **options: Any) -> str:
    """What a command prints, which must succeed."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}"
    return done.stdout


def succeeds(*command: str | Path, **options: Any) -> bool:
    return run(*command, **options).returncode == 0
