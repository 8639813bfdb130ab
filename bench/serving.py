"""What a replica costs: CPU time of a request with `tidegate.serving`, with `instrument`, and without.

Usage: `python bench/serving.py`

Three server processes serve the same small FastAPI application on 127.0.0.1: plain uvicorn, uvicorn
with `instrument(app)`, and `python -P -m tidegate.serving`. Two more serve `POST /tickets` of
examples/own-app: by plain uvicorn, without the lines that it has for Tidegate, and as it is, with its
spans and its watched model. One client sends them requests on one connection each; the servers take
turns in short rounds, so that a slow phase of the machine affects all of them. Measured is the CPU time
of all threads of a server (`/proc/PID/task/*/schedstat`), divided by the number of requests.
"""

from __future__ import annotations

import argparse
import http.client
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

APP: Final = """
from fastapi import FastAPI
from pydantic import BaseModel

class Rows(BaseModel):
    instances: list[list[float]]

app = FastAPI(title="Sums")

@app.post("/predict")
async def predict(rows: Rows) -> dict[str, list[float]]:
    return {"predictions": [sum(row) for row in rows.instances]}
"""
INSTRUMENTED: Final = f"{APP}\nfrom tidegate.telemetry import instrument\ninstrument(app)\n"
BODY: Final = b'{"instances":[[1.0,2.0,3.0],[4.0,5.0,6.0]]}'
EXAMPLE: Final = Path(__file__).resolve().parents[1] / "examples" / "own-app"
DESK: Final = """
import logging

from fastapi import BackgroundTasks, FastAPI
from pydantic import BaseModel, Field

from desk.model import load_desk

app = FastAPI(title="desk")
desk = load_desk()

class Ticket(BaseModel):
    text: str = Field(min_length=1, max_length=10_000)
    channel: str = "web"

class Filed(BaseModel):
    queue: str
    confidence: float

@app.post("/tickets")
async def file_ticket(ticket: Ticket, background: BackgroundTasks) -> Filed:
    queue, confidence = desk.triage.queue(ticket.text)
    background.add_task(logging.getLogger("desk").info, "ticket filed: %s", queue)
    return Filed(queue=queue, confidence=round(confidence, 4))
"""
TICKET: Final = b'{"text": "I was charged twice for the planner this month", "channel": "mail"}'
HEADERS: Final = {"content-type": "application/json"}
UVICORN: Final = (
    *("uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log"),
    *("--no-server-header", "--log-level", "warning", "--timeout-keep-alive", "600"),
)


@dataclass(frozen=True)
class Case:
    """A way to serve an application, and the request that it gets."""

    label: str
    arguments: tuple[str, ...]
    path: str = "/predict"
    body: bytes = BODY


SMALL: Final = (
    Case("uvicorn", (*UVICORN, "plain:app")),
    Case("uvicorn and `instrument(app)`", (*UVICORN, "instrumented:app")),
    Case("`tidegate.serving`", ("tidegate.serving", "plain:app")),
)
OWN: Final = (
    Case("examples/own-app without Tidegate", (*UVICORN, "desk_alone:app"), "/tickets", TICKET),
    Case("examples/own-app", ("tidegate.serving", "desk.main:app"), "/tickets", TICKET),
)


@dataclass
class Server:
    """A server process, a connection to it, and its CPU time per request in each round, in µs."""

    case: Case
    process: subprocess.Popen[bytes]
    connection: http.client.HTTPConnection
    microseconds: list[float] = field(default_factory=list)

    def cpu_ns(self) -> int:
        """The CPU time of all its threads, in nanoseconds."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)

    def send(self, requests: int) -> None:
        """Send requests in turn."""
        for _ in range(requests):
            self.connection.request("POST", self.case.path, self.case.body, HEADERS)
            response = self.connection.getresponse()
            assert response.status == 200, response.read()
            response.read()


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def server(folder: Path, case: Case) -> Iterator[Server]:
    """Start a server, and stop it at the end."""
    arguments = case.arguments
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if "TIDEGATE" not in name}
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments, "--host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        deadline = time.monotonic() + 120
        while True:
            try:
                connection.connect()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, arguments  # noqa: PT018
                time.sleep(0.1)
        yield Server(case, process, connection)
    finally:
        process.terminate()
        process.wait(30)


def compare(folder: Path, cases: tuple[Case, ...], rounds: int, requests: int) -> None:
    """Measure the cases in turns, and print a table; the first one is the base of the ratios."""
    with ExitStack() as stack:
        servers = [stack.enter_context(server(folder, case)) for case in cases]
        for turn in range(rounds + 1):
            for each in servers[:: 1 if turn % 2 else -1]:
                before = each.cpu_ns()
                each.send(requests)
                if turn:  # the first round warms up
                    each.microseconds.append((each.cpu_ns() - before) / requests / 1000)
    print("| server | µs of CPU per request | ratio |")
    print("| --- | ---: | ---: |")
    medians = [statistics.median(each.microseconds) for each in servers]
    for case, median in zip(cases, medians, strict=True):
        print(f"| {case.label} | {median:.0f} | {median / medians[0]:.2f} |")
    print()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=500, help="of one server in one round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plain.py").write_text(APP)
        (folder / "instrumented.py").write_text(INSTRUMENTED)
        shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
        (folder / "desk_alone.py").write_text(DESK)
        for cases in (SMALL, OWN):
            compare(folder, cases, options.rounds, options.requests)
    print(
        f"Measured on {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
        f"{platform.machine()}, {os.cpu_count()} cores; median of {options.rounds} rounds of "
        f"{options.requests} requests."
    )


if __name__ == "__main__":
    main()
