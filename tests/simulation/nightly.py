"""The seeds of `make nightly`."""

from __future__ import annotations

import os
import subprocess
import sys

from support.checkout import ROOT


def run_seeds_at_night(world: str, first: int, seeds: int) -> None:
    """Run seeds on all cores; the failure of one is that of the test."""
    # Not measured for coverage, which doubles the hours that it takes.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = ["-m", "tests.simulation", "--world", world, "--first", f"{first}"]
    done = subprocess.run(
        [sys.executable, *command, "--seeds", f"{seeds}", "--jobs", f"{os.cpu_count()}"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
