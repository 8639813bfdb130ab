"""A whole stack on free ports, in a folder of its own, driven as a person would: by the commands."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from support import commands, prometheus_queries
from support.checkout import ROOT
from support.eventually import eventually, eventually_async
from support.ports import free_ports
from support.processes import load
from tidegate.resizer.client import ResizerClient
from tidegate.settings import Settings
from tidegate.settings import load as load_settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.store import open_store
from tidegate.store.base import EventStore, SearchRequest, SearchResult

MAX_REPLICAS = 4


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Stack:
    """A running stack: its settings, its commands, its addresses."""

    settings: Settings
    environment: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.gateway.port}"

    @property
    def data(self) -> Path:
        return self.settings.stack.data_dir

    @property
    def port(self) -> int:
        return self.settings.gateway.port

    @property
    def first_replica(self) -> int:
        return self.settings.replicas.first_port

    @property
    def prometheus(self) -> str:
        return f"http://127.0.0.1:{self.settings.prometheus.port}"

    def run(self, *command: str, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Run `python -m …` with this stack's settings."""
        python = (sys.executable, "-m")
        return commands.run(*python, *command, env=self.environment, cwd=ROOT, timeout=seconds)

    def tidegate(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Tidegate, with more environment variables."""
        return replace(self, environment=self.environment | variables).run("tidegate", *command)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command of Tidegate while it works; all that it prints is in one stream."""
        return subprocess.Popen(
            [sys.executable, "-m", "tidegate", *command],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def up(self) -> Iterator[None]:
        """Start it, stop it in the end."""
        try:
            started = self.tidegate("up", "--detach")
            assert started.returncode == 0, started.stdout + started.stderr
            yield
        finally:
            stopped = self.tidegate("down")
            assert stopped.returncode == 0, stopped.stdout + stopped.stderr

    def status(self) -> dict[str, Any]:
        """As `tidegate status --json` prints it, without a process; its state alone if it does not answer."""
        layout = Layout(self.data)
        if layout.holder() is None:
            return {"state": "stopped"}
        try:
            return fetch_status(layout.socket).model_dump(mode="json")
        except ControlError:
            return {"state": "silent"}

    def program(self, name: str) -> dict[str, Any]:
        status = self.status()
        every = [*status["components"], *status["replicas"]]
        return next((one for one in every if one["id"] == name), {})

    def resizer(self) -> ResizerClient:
        return ResizerClient(f"unix:{self.data}/run/control.sock", timeout_seconds=30)

    async def scale(self, replicas: int) -> None:
        """Wait until so many replicas are ready, and there is no other."""
        resizer = self.resizer()
        await resizer.resize(replicas)

        async def are_there() -> bool:
            status = await resizer.status()
            return (status.ready, len(status.replicas)) == (replicas, replicas)

        await eventually_async(are_there, f"{replicas} replicas are ready")

    def kill(self, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Kill a program; its status before, and when another process of it is ready."""
        before = eventually(lambda: self.program(name), f"there is {name}")
        os.kill(before["pid"], signal.SIGKILL)

        def back() -> dict[str, Any] | None:
            now = self.program(name)
            ready = now["state"] == "ready" and now["pid"] not in {None, before["pid"]}
            return now if ready else None

        return before, eventually(back, f"{name} is back")

    def search(self, query: str = "", size: int = 1000, **wanted: Any) -> SearchResult:
        """What its store finds of what was delivered, also when it does not run."""
        with closing(self.store()) as store:
            return store.search(SearchRequest(query=query, size=size, **wanted))

    def store(self) -> EventStore:
        """The store, in which everything that was delivered can be found."""
        from support.store_refresh import refresh

        store = open_store(self.settings, read_only=True)
        refresh(store)
        return store

    def send(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        if body is not None:
            request.add_header("Content-Type", content_type)
        try:
            answer = urllib.request.urlopen(request, timeout=90)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read()
            kind = answer.headers.get("Content-Type", "")
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.headers.items()},
                json.loads(text) if "json" in kind and text else text.decode(),
            )

    def load(
        self, folder: Path, *options: str, **scenario: Any
    ) -> AbstractContextManager[load.Load]:
        """Send a load through the gateway while the block runs; see `load.load`."""
        return load.load(folder, self.url, *options, environment=self.environment, **scenario)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query to Prometheus."""
        return prometheus_queries.samples(self.prometheus, expression)

    def value(self, expression: str) -> float:
        """The first value of an expression in Prometheus; NaN if there is none."""
        found = prometheus_queries.value(self.prometheus, expression)
        return math.nan if found is None else found


LEFT_ALONE: dict[str, Any] = {"autoscaler": {"tick_seconds": 3600}}
"""After its first look the autoscaler leaves the number of replicas to the tests."""


def prepared(folder: Path, artefact: Path, **overrides: dict[str, Any]) -> Stack:
    """A stack that is not started yet, with these settings (a dict a section)."""
    port = free_ports(11 + MAX_REPLICAS)  # one more while a model takes over
    sections: dict[str, dict[str, Any]] = {
        "model": {"path": str(artefact)},
        "gateway": {"port": port, "metrics_port": port + 1},
        "prometheus": {"port": port + 2, "scrape_seconds": 1},
        "collector": {"metrics_port": port + 3},
        "autoscaler": {"metrics_port": port + 4},
        "drift": {"watch_port": port + 5},
        # Its tests switch it on.
        "console": {"enabled": False, "port": port + 6},
        "replicas": {"first_port": port + 10, "max": MAX_REPLICAS},
        "stack": {"data_dir": str(folder / "data")},
    }
    for section, values in overrides.items():
        sections.setdefault(section, {}).update(values)
    environment = {**os.environ, "TIDEGATE_CONFIG": str(ROOT / "tidegate.toml"), "COLUMNS": "200"}
    for section, values in sections.items():
        for name, value in values.items():
            text = json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
            environment[f"TIDEGATE_{section}__{name}".upper()] = text
    return Stack(load_settings(**sections), environment)


@contextmanager
def running(folder: Path, artefact: Path, **overrides: dict[str, Any]) -> Iterator[Stack]:
    """Start a stack with these settings (a dict a section), stop it in the end."""
    stack = prepared(folder, artefact, **overrides)
    with stack.up():
        yield stack
