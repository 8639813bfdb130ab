"""Programs that run in the background, each with a log of its own."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

STOP_SECONDS: Final = 20.0


@dataclass
class Processes:
    """Programs by name. A program may be stopped and started again."""

    logs: Path  # a folder with `NAME.log` of each
    # A command that runs the program as its only child, in other namespaces (nsenter).
    entrance: tuple[str, ...] = ()
    _commands: dict[str, Sequence[str]] = field(default_factory=dict)
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, command: Sequence[str] | None = None) -> None:
        """Start a program, by default with the command that it had before."""
        command = command or self._commands[name]
        self._commands[name] = command
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [*self.entrance, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for pytest, which then stops them in order.
                start_new_session=True,
            )

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End a program and wait for it."""
        process = self._running.pop(name)
        self.signal(process, how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.signal(process, signal.SIGKILL)
            process.wait()

    def stop_all(self) -> None:
        """End all, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name)

    def wait_for_all(self) -> None:
        """Wait until all have ended, because their namespaces have."""
        while self._running:
            self._running.popitem()[1].wait(STOP_SECONDS)

    def check(self, name: str) -> None:
        """Fail if a program has ended by itself.

        Raises:
            RuntimeError: with the end of its log.
        """
        status = self._running[name].poll()
        if status is not None:
            raise RuntimeError(f"{name} ended with {status}:\n{self.tail(name)}")

    def send(self, name: str, how: signal.Signals) -> None:
        """Send a signal to a program, such as SIGSTOP, and then SIGCONT."""
        process = self._running[name]
        self.signal(process, how)
        if how == signal.SIGCONT:
            # The entrance stops itself with its child.
            os.kill(process.pid, how)

    def signal(self, process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        """Send a signal to the program itself, which is the child of the entrance if there is one."""
        if process.poll() is not None:
            return
        pid = process.pid
        if self.entrance:
            children = psutil.Process(pid).children()
            pid = children[0].pid if children else pid
        os.kill(pid, how)

    def tail(self, name: str, lines: int = 20) -> str:
        """The end of a program's log."""
        path = self.logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
