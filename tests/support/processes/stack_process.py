"""A stack in a folder of its own, run by its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from support.checkout import ROOT
from support.ports import free_ports
from support.processes.stack_status import stack_status
from tidegate.resizer.client import ResizerClient
from tidegate.settings import load
from tidegate.store import open_store
from tidegate.store.base import SearchRequest, SearchResult

MAX_REPLICAS = 3


class Stack:
    """The commands, with settings of their own."""

    def __init__(self, folder: Path, artefact: Path, **variables: str) -> None:
        self.port = free_ports(11 + MAX_REPLICAS)  # one more while a model takes over
        self.first_replica = self.port + 10
        # A path that no socket address holds: everything must work there too.
        self.data = folder / ("a-long-name-" * 9) / "data"
        self.env = {
            **{name: os.environ[name] for name in os.environ if not name.startswith("TIDEGATE_")},
            "TIDEGATE_MODEL__PATH": str(artefact),
            "TIDEGATE_GATEWAY__PORT": str(self.port),
            "TIDEGATE_GATEWAY__METRICS_PORT": str(self.port + 1),
            "TIDEGATE_PROMETHEUS__PORT": str(self.port + 2),
            "TIDEGATE_PROMETHEUS__SCRAPE_SECONDS": "1",
            "TIDEGATE_COLLECTOR__METRICS_PORT": str(self.port + 3),
            "TIDEGATE_AUTOSCALER__METRICS_PORT": str(self.port + 4),
            "TIDEGATE_DRIFT__WATCH_PORT": str(self.port + 5),
            "TIDEGATE_CONSOLE__ENABLED": "false",
            # After its first look the autoscaler leaves the number of replicas to the tests.
            "TIDEGATE_AUTOSCALER__TICK_SECONDS": "3600",
            "TIDEGATE_REPLICAS__FIRST_PORT": str(self.first_replica),
            "TIDEGATE_REPLICAS__MAX": str(MAX_REPLICAS),
            "TIDEGATE_STACK__DATA_DIR": str(self.data),
            "NO_COLOR": "1",
            "COLUMNS": "200",
            **variables,
        }

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *command],
            cwd=ROOT,
            env={**self.env, **variables},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def start(self, *command: str) -> subprocess.Popen[str]:
        """The command while it works; all that it prints is in one stream."""
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate", *command],
            cwd=ROOT,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        return stack_status(self.data)

    def program(self, name: str) -> dict[str, Any]:
        status = self.status()
        every = [*status["components"], *status["replicas"]]
        return next((one for one in every if one["id"] == name), {})

    def resizer(self) -> ResizerClient:
        return ResizerClient(f"unix:{self.data}/run/control.sock", timeout_seconds=30)

    def search(self, query: str = "", size: int = 0) -> SearchResult:
        """What its store finds, also when it does not run."""
        with closing(open_store(load(stack={"data_dir": self.data}), read_only=True)) as store:
            return store.search(SearchRequest(query=query, size=size))

    @contextmanager
    def up(self) -> Iterator[None]:
        started = self.run("up", "--detach")
        try:
            assert started.returncode == 0, started.stdout + started.stderr
            yield
        finally:
            stopped = self.run("down")
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr
