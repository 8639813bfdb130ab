"""The tutorials "your own model" and "your own application", run command by command as they are written,
with Tidegate installed from its wheel.

A block that begins with the comment `# name` becomes that file. The test replaces the ports of the text.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.checkout import ROOT
from support.ports import free_ports
from support.processes.running_stack import prepared
from support.processes.wheel import Wheel, working_directory

pytestmark = pytest.mark.e2e

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# Commands that fail until the server is ready or the events are delivered.
REPEATED = ("tidegate search", "tidegate trace", "curl")
# Settings that the tutorial itself sets, or leaves at their default.
OWN = ("TIDEGATE_MODEL__PATH", "TIDEGATE_STACK__DATA_DIR")


class Reader:
    """Does what a tutorial says, in an empty folder."""

    def __init__(self, folder: Path, wheel: Wheel) -> None:
        self.folder = folder
        self.environment = wheel.environment(prepared(folder, folder).environment)
        for name in OWN:
            del self.environment[name]
        self.ports = {
            "8000": self.environment["TIDEGATE_GATEWAY__PORT"],
            "8100": str(free_ports(1)),
        }
        self.servers: list[subprocess.Popen[bytes]] = []

    def follow(self, page: str) -> str:
        """Write the files and run the commands of a page; returns all output."""
        text = (ROOT / "docs" / "tutorials" / page).read_text("utf-8")
        for written, port in self.ports.items():
            text = re.sub(rf"\b{written}\b", port, text)
        output = []
        for language, block in BLOCK.findall(text):
            name = re.match(r"# ([\w.]+)\n", block)
            if name:
                (self.folder / name[1]).write_text(block, encoding="utf-8")
            elif language == "console":
                output += [self.run(line[2:]) for line in block.splitlines() if line[:2] == "$ "]
        return "\n".join(output)

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
            if done.returncode == 0:
                return done.stdout
            if not command.startswith(REPEATED) or time.monotonic() > until:
                pytest.fail(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
            time.sleep(0.5)


@pytest.fixture
def reader(tmp_path: Path, wheel: Wheel) -> Iterator[Reader]:
    with working_directory(tmp_path) as folder:
        reader = Reader(folder, wheel)
        yield reader
        for server in reader.servers:
            server.terminate()
            server.wait(30)
        down = [wheel.tidegate, "down"]
        subprocess.run(down, cwd=folder, env=reader.environment, timeout=120, check=True)


def test_your_own_model(reader: Reader) -> None:
    output = reader.follow("own-model.md")
    assert "'name': 'wine'" in output
    assert "{'accepted': 178, 'refused': 0, 'detail': []}" in output
    assert "178 labels" in output
    assert (reader.folder / "wine.html").stat().st_size > 10_000


def test_your_own_application(reader: Reader) -> None:
    output = reader.follow("own-application.md")
    assert "traceresponse: 00-4bf92f3577b34da6a3ce929d0e0e4736-" in output
    assert "GET /cakes/lemon 200" in output
    assert "GET /cakes/stone 404" in output
    assert "bake" in output
    assert "every replica serves shop:app (code of " in output
    assert '"cake":"apple"' in output.replace(" ", "")
    assert "replica stop" in output
