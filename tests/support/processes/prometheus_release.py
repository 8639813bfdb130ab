"""A release of Prometheus that the tests run against."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Release:
    """A Prometheus and its promtool."""

    prometheus: Path
    promtool: Path

    def check(self, *arguments: str, cwd: Path) -> None:
        """Run promtool; its output is the failure's text."""
        done = subprocess.run(
            [self.promtool, *arguments],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
