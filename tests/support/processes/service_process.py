"""The service as a process, for tests with clients and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from support.checkout import ROOT
from support.harnesses.event_files import events_in
from support.ports import free_port
from support.scrape import scrape


@dataclass
class Service:
    """A running replica."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> int | None:
        """The status of /ready; None if the port is closed."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=30).status_code
        except httpx.TransportError:
            return None

    def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        found = scrape(self.port, name)
        assert found is not None
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def events(self) -> list[dict[str, Any]]:
        """The events of answered requests."""
        return events_in(self.folder / "logs", "request")


@contextmanager
def service(
    folder: Path, model: Path, errors: IO[bytes] | int = subprocess.PIPE, /, **variables: str
) -> Iterator[Service]:
    """Start a replica, and kill it at the end if it still runs; what it writes on stderr goes to `errors`."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    env |= {"TIDEGATE_MODEL__PATH": str(model), "TIDEGATE_STACK__DATA_DIR": str(folder)} | variables
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate.service", "--port", str(port)],
        cwd=ROOT,
        env=env,
        stderr=errors,
    )
    try:
        yield Service(process, port, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def served(
    folder: Path, app: str, *options: str, output: int = subprocess.PIPE, **variables: str
) -> Iterator[Service]:
    """Run `python -P -m tidegate.serving` in a folder, and kill it at the end if it still runs.

    Args:
        folder: the folder of the application; its events go to `.tidegate` in it.
        app: its name, such as `shop.main:app`.
        options: further options.
        output: where its output goes; a pipe is read at its end.
        variables: environment variables.
    """
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    process = subprocess.Popen(
        [*(sys.executable, "-P", "-m", "tidegate.serving", app), "--port", str(port), *options],
        cwd=folder,
        env=env | variables,
        stdout=output,
        stderr=output,
    )
    try:
        yield Service(process, port, folder / ".tidegate")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
