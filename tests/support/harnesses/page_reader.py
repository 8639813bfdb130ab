"""Runs the commands of a page of the documentation as a person would, with Tidegate installed from its wheel.

A block that begins with the comment `# name` becomes that file. The ports of the text are replaced.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from support.ports import free_ports
from support.processes.running_stack import prepared
from support.processes.wheel import Wheel
from tidegate.loadgen.report.verdict import INVALID

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Commands that fail until the server is ready or the events are delivered.
REPEATED = ("tidegate search", "tidegate trace", "curl")
# Settings that the tutorial itself sets, or leaves at their default.
OWN = ("TIDEGATE_MODEL__PATH", "TIDEGATE_STACK__DATA_DIR")


class PageReader:
    """Does what a page says, in a folder."""

    def __init__(self, folder: Path, wheel: Wheel) -> None:
        self.folder = folder
        self.tidegate = wheel.tidegate
        self.environment = wheel.environment(prepared(folder, folder).environment)
        for name in OWN:
            del self.environment[name]
        self.ports = {
            "8000": self.environment["TIDEGATE_GATEWAY__PORT"],
            "8100": str(free_ports(1)),
        }
        self.servers: list[subprocess.Popen[bytes]] = []

    def follow(self, page: Path, instead: Mapping[str, Callable[[], str]] | None = None) -> str:
        """Write the files and run the commands of a page; returns all output.

        Args:
            page: the page.
            instead: called in place of a command; it returns the output.
        """
        calls = instead or {}
        text = self.with_ports(page.read_text("utf-8"))
        output = []
        for language, block in BLOCK.findall(text):
            name = re.match(r"# ([\w.]+)\n", block)
            if name:
                (self.folder / name[1]).write_text(block, encoding="utf-8")
            elif language == "console":
                commands = [line[2:] for line in block.splitlines() if line[:2] == "$ "]
                output += [calls[each]() if each in calls else self.run(each) for each in commands]
        return "\n".join(output)

    def with_ports(self, text: str) -> str:
        """A text with the ports of this stack."""
        for written, port in self.ports.items():
            text = re.sub(rf"\b{written}\b", port, text)
        return text

    def close(self) -> None:
        """End the servers and the stack."""
        for server in self.servers:
            server.terminate()
            server.wait(30)
        down = [self.tidegate, "down"]
        subprocess.run(down, cwd=self.folder, env=self.environment, timeout=120, check=True)

    def run(self, command: str) -> str:
        """Run a command to its end; a server runs on, and a search that finds nothing is repeated."""
        if command.startswith("uvicorn "):
            server = subprocess.Popen(command.split(), cwd=self.folder, env=self.environment)
            self.servers.append(server)
            return ""
        until = time.monotonic() + 60
        while True:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            # Requests were sent late, which on a busy machine is no fault of the page.
            late = done.returncode == INVALID and command.startswith("tidegate loadgen run")
            if done.returncode == 0 or late:
                return done.stdout
            if not command.startswith(REPEATED) or time.monotonic() > until:
                pytest.fail(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
            time.sleep(0.5)
