"""A load test that a person starts in the console: one at a time, in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tidegate.loadgen.plan.scenario import BUILT_IN, built_in
from tidegate.runtime.loopback import is_loopback
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.process import Child, Command, describe_exit, tail
from tidegate.stack.supervisor.programs import url

CONSTANT: Final = "constant"
MAX_RATE: Final = 200
MAX_SECONDS: Final = 600
# Then it has waited for the last responses, and written its report.
STOP_SECONDS: Final = 30.0
# Exit codes of a run that has a report.
REPORTED: Final = frozenset({0, 1, 98, 99, 130})
SCENARIO: Final = """\
name = "constant"
description = "{rate} requests per second for {seconds} seconds, started in the console."
arrivals = "poisson"
phases = [{{ kind = "constant", rate = {rate}, seconds = {seconds} }}]
"""
_PATH: Final = re.compile(r"/[!-~]{0,2000}")
_TOLD: Final = re.compile(r"(planned|answered|failed|p50|p95|p99|lag p99) (.+)")


class RefusedError(Exception):
    """A load test that cannot be started; the text says why."""


def scenarios() -> Mapping[str, str]:
    """The description of each built-in scenario by its name."""
    texts = {name: (BUILT_IN / f"{name}.toml").read_text(encoding="utf-8") for name in built_in()}
    return {name: tomllib.loads(text)["description"] for name, text in texts.items()}


class LoadTest:
    """The load test of a console: for the gateway of its stack only. It ends with the console."""

    def __init__(self, settings: Settings) -> None:
        """Store the settings, with absolute paths."""
        self._settings = settings
        layout = Layout(settings.stack.data_dir)
        self._output, self._scenario = layout.output("load"), layout.run / "load.toml"
        self._body = layout.run / "load.body"
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether it sends requests, or writes its report."""
        return self._child is not None and not self._child.exited.done()

    @property
    def unavailable(self) -> str:
        """Why this console starts none; empty if it does."""
        settings = self._settings
        if not settings.console.control:
            return "console.control is false"
        if not is_loopback(urlsplit(self._gateway).hostname or ""):
            return f"stack.host is {settings.stack.host}, and the console loads this machine only"
        if not find_spec("matplotlib"):
            return "pip install 'tidegate[loadgen]' installs what the report needs"
        return ""

    @property
    def problem(self) -> str:
        """Why the last one has no report; empty if it has one, or runs."""
        if not self._child or not self._child.exited.done():
            return ""
        code = self._child.exited.result()
        return "" if code in REPORTED else f"it {describe_exit(code)}: {tail(self._output, 3)}"

    @property
    def progress(self) -> list[tuple[str, str]]:
        """What it says of itself now, such as `("p95", "120 ms")`."""
        elapsed, *parts = tail(self._output, 1).strip().split("  ")
        told = [(found[1], found[2]) for part in parts if (found := _TOLD.fullmatch(part))]
        return [("elapsed", elapsed), *told] if told else []

    @property
    def request(self) -> tuple[str, str] | None:
        """A path and a body that a person may change; None if the model's own rows are sent."""
        if self._rows.is_file() and not self._settings.replica_program:
            return None
        verify = self._settings.verify
        return verify.path or ("/" if self._settings.replica_program else "/predict"), verify.body

    def start(self, scenario: str, rate: str, seconds: str, path: str, body: str) -> str:
        """Start one, and return what it does in words.

        Args:
            scenario: a built-in one, or `CONSTANT`.
            rate: of `CONSTANT`: requests per second.
            seconds: of `CONSTANT`.
            path: of the requests, unless the model's own rows are sent.
            body: of them, as JSON; without one they are GET requests.

        Raises:
            RefusedError: one runs, or none can run, or an argument is invalid.
            OSError: a file cannot be written, or the process not be started.
        """
        if reason := "one runs already" if self.running else self.unavailable:
            raise RefusedError(reason)
        name, words = scenario, scenario
        if scenario == CONSTANT:
            numbers = {
                "rate": _number("rate", rate, MAX_RATE),
                "seconds": _number("seconds", seconds, MAX_SECONDS),
            }
            self._scenario.write_text(SCENARIO.format(**numbers), encoding="utf-8")
            name = str(self._scenario)
            words = "{rate} requests per second for {seconds} s".format(**numbers)
        elif scenario not in built_in():
            raise RefusedError(f"scenario: expected {CONSTANT} or one of {', '.join(built_in())}")
        options = self._requests(path, body)
        self._output.unlink(missing_ok=True)
        self._child = Child.start(self._command(name, options), self._output)
        return words

    async def stop(self) -> bool:
        """End it; its report covers what was sent. Return whether one ran."""
        if not self._child or not self.running:
            return False
        await self._child.stop(signal.SIGTERM, STOP_SECONDS)
        return True

    def _requests(self, path: str, body: str) -> Sequence[str]:
        if self.request is None:
            return "--rows", str(self._rows)
        if not _PATH.fullmatch(path):
            raise RefusedError("path: expected / and printable characters")
        if not body:
            return "--method", "GET", "--path", path
        self._body.write_text(" ".join(body.splitlines()) + "\n", encoding="utf-8")
        return "--body", str(self._body), "--path", path

    def _command(self, scenario: str, requests: Sequence[str]) -> Command:
        settings = self._settings
        prometheus = url(settings.stack.host, settings.prometheus.port)
        argv = (
            *(sys.executable, "-P", "-m", "tidegate.loadgen", "run", scenario),
            *("--url", self._gateway, "--prometheus", prometheus, *requests),
            *("--out", str(settings.console.runs_dir), "--slo", str(settings.slo.latency_seconds)),
        )
        return Command(argv, {**os.environ, "NO_COLOR": "1"}, Path.cwd())

    @property
    def _gateway(self) -> str:
        return url(self._settings.stack.host, self._settings.gateway.port)

    @property
    def _rows(self) -> Path:
        return self._settings.model.path / "samples.ndjson"


def _number(name: str, text: str, largest: int) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 9 and 1 <= int(text) <= largest:
        return int(text)
    raise RefusedError(f"{name}: expected a whole number from 1 to {largest}")
