"""A load test that a person starts in the console: one at a time, in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from tidegate.loadgen.plan.scenario import BUILT_IN, built_in
from tidegate.runtime.http_client import HttpClient, HttpError
from tidegate.runtime.loopback import is_loopback
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.load import gateway, load_arguments, request_arguments
from tidegate.stack.processes.process import Child, Command, describe_exit, tail

# Then it has waited for the last responses, and written its report.
STOP_SECONDS: Final = 30.0
# Exit codes of a run that has a report.
REPORTED: Final = frozenset({0, 1, 98, 99, 130})


@cache
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
        self._output = layout.output("load")
        self._body = layout.run / "load.body"
        self._child: Child | None = None

    @property
    def running(self) -> bool:
        """Whether it sends requests, or writes its report."""
        return self._child is not None and not self._child.exited.done()

    @property
    def unavailable(self) -> str:
        """Why this console starts none; empty if it does."""
        if not self._settings.console.control:
            return "console.control is false"
        host = self._settings.stack.host
        if not is_loopback(urlsplit(gateway(self._settings)).hostname or ""):
            return f"stack.host is {host}, and the console loads this machine only"
        if not find_spec("matplotlib"):
            return "pip install 'tidegate[loadgen]' installs what the report needs"
        return ""

    @property
    def problem(self) -> str:
        """Why the last one has no report; empty if it has one, or runs."""
        if self._child is None or self.running:
            return ""
        code = self._child.exited.result()
        return "" if code in REPORTED else f"it {describe_exit(code)}: {tail(self._output, 3)}"

    @property
    def progress(self) -> str:
        """What it said last."""
        return tail(self._output, 1)

    async def start(self, scenario: str) -> None:
        """Start a built-in scenario, if one request of it is answered.

        Raises:
            ValueError: one runs, or none can run, or there is no such scenario, or the request fails.
            OSError: a file cannot be written, or the process not be started.
        """
        if reason := self.unavailable:
            raise ValueError(reason)
        if scenario not in scenarios():
            raise ValueError(f"scenario: expected one of {', '.join(scenarios())}")
        settings = self._settings
        requests = request_arguments(settings, self._body)
        if "--path" in requests:
            requests = request_arguments(settings, self._body, await self._answered_path())
        # Only now: a second click may have started one meanwhile.
        if self.running:
            raise ValueError("one runs already")
        self._body.write_text(" ".join(settings.verify.body.splitlines()) + "\n", encoding="utf-8")
        argv = (
            *(sys.executable, "-P", "-m", "tidegate.loadgen"),
            *load_arguments(settings, scenario, settings.console.runs_dir),
            *requests,
            # The page shows the last line.
            *("--progress", "1s"),
        )
        self._output.unlink(missing_ok=True)
        environment = {**os.environ, "NO_COLOR": "1"}
        self._child = Child.start(Command(argv, environment, Path.cwd()), self._output)

    async def _answered_path(self) -> str:
        """That of the settings, or of a GET route of the application; one request to it was answered."""
        verify = self._settings.verify
        method, path = ("POST", verify.path or "/") if verify.body else ("GET", verify.path)
        headers = {"Content-Type": "application/json"} if verify.body else {}
        # Only a test needs it, and it brings rich.
        from tidegate.checks.running.gateway import own_path  # noqa: PLC0415

        async with aiohttp.ClientSession() as session:
            client = HttpClient(session, gateway(self._settings))
            try:
                path = path or (await own_path(self._settings, client))[0]
                await client.call(method, path, data=verify.body.encode() or None, headers=headers)
            except HttpError as error:
                raise ValueError(
                    f"{error}; set verify.path, and verify.body for a POST, to a request that is answered"
                ) from error
        return path

    async def stop(self) -> bool:
        """End it; its report covers what was sent. Return whether one ran."""
        if not self._child or not self.running:
            return False
        await self._child.stop(signal.SIGTERM, STOP_SECONDS)
        return True
