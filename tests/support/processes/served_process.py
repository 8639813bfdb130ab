"""An application of somebody else as a replica in a process, for tests with clients and signals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.ports import free_port
from support.processes.service_process import Service


@contextmanager
def served(folder: Path, app: str, *options: str, **variables: str) -> Iterator[Service]:
    """Run `python -P -m tidegate.serving` in a folder, and kill it at the end if it still runs.

    Args:
        folder: the folder of the application; its events go to `.tidegate` in it.
        app: its name, such as `shop.main:app`.
        options: further options.
        variables: environment variables.
    """
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    process = subprocess.Popen(
        [*(sys.executable, "-P", "-m", "tidegate.serving", app), "--port", str(port), *options],
        cwd=folder,
        env=env | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Service(process, port, folder / ".tidegate")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def run_to_end(folder: Path, app: str, *options: str) -> tuple[int, str]:
    """Serve an application that cannot be served; returns the exit code and what it wrote on stderr."""
    with served(folder, app, *options) as found:
        _, errors = found.process.communicate(timeout=60)
        return found.process.returncode, errors.decode()
