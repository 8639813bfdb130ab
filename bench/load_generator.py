"""CPU of a request in the load generator, and how late it sends, beside locust's fast user.

    python -m bench.load_generator [--rate 3000] [--seconds 5] [--rounds 3]

The server answers at once with two bytes, in a process of its own, so that the sender is what is measured.
The load generator sends an open loop at the rate; locust's FastHttpUser has none: its users send one request
after the other, without a pause. What a start, the live view and the report take is subtracted from both.
locust is installed in an environment of its own in the cache by the first run. aiohttp, by which the load
generator sends, is measured alone, too: its session in a closed loop, without a plan and a record.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bench.engines.cpu import command_cpu_seconds
from bench.engines.engine import free_ports
from bench.engines.environments import installed
from bench.results import Result, result, save

SERVER: Final = """
import asyncio, sys

class Responder(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.read = transport, b""

    def data_received(self, data):
        self.read += data
        while (head := self.read.find(b"\\r\\n\\r\\n")) >= 0:
            name = self.read[:head].lower().find(b"content-length:")
            size = int(self.read[name + 15 : head].split(b"\\r\\n")[0]) if name >= 0 else 0
            if len(self.read) < head + 4 + size:
                return
            self.read = self.read[head + 4 + size :]
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")

async def main():
    server = await asyncio.get_running_loop().create_server(Responder, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()

asyncio.run(main())
"""
USERS: Final = """
import os

from locust import FastHttpUser, constant, task

class User(FastHttpUser):
    wait_time = constant(0)

    @task
    def predict(self):
        headers = {"content-type": "application/json"}
        self.client.post("/predict", data=os.environ["BODY"], headers=headers)
"""
ROW: Final = (
    '{"month":7,"day":11,"carrier":"UA","origin":"EWR","dest":"IAH","distance":1400,"temp":39.0}\n'
)
BODY: Final = json.dumps({"instances": [json.loads(ROW)], "work": "light"})
PINNED: Final = ("locust==2.47.0",)
FIRST_PORT: Final = 26_000
LOCUST_USERS: Final = 8
LOCUST_SECONDS: Final = (2, 7)
ALONE_REQUESTS: Final = (1, 10_001)
# 3,000 requests a second and core, half as much again as locust, and what a person calls "on time".
TARGET_US, TARGET_RATIO, TARGET_LAG_MS = 1e6 / 3000, 1 / 1.5, 5.0


@contextmanager
def trivial_server() -> Iterator[str]:
    """Run a server that answers at once, in a process of its own."""
    port = free_ports(FIRST_PORT, 1)
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(port)])
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                break
            except OSError:
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def loadgen(
    folder: Path, url: str, rate: int, seconds: float, before: Sequence[str] = ()
) -> tuple[float, dict[str, Any]]:
    """The CPU time of a run in seconds, and its summary; `before` is a command that runs it."""
    scenario = folder / "bench.toml"
    scenario.write_text(
        'name = "bench"\narrivals = "poisson"\nweights = { light = 1 }\n'
        f'phases = [{{ kind = "constant", seconds = {seconds}, rate = {rate} }}]\n'
    )
    (folder / "rows.ndjson").write_text(ROW * 100)
    spent, shown = command_cpu_seconds(
        [
            *(*before, sys.executable, "-m", "tidegate.loadgen", "run", str(scenario)),
            *("--url", url),
            *("--rows", str(folder / "rows.ndjson"), "--out", str(folder / "runs")),
        ]
    )
    path = folder / "runs" / "latest" / "summary.json"
    if not path.exists():
        raise SystemExit(shown)
    return spent, json.loads(path.read_text())


def locust(folder: Path, url: str, seconds: int) -> tuple[float, int]:
    """The CPU time of a run of locust in seconds, and the number of its requests."""
    users = folder / "users.py"
    users.write_text(USERS)
    command = [
        *(str(installed("locust", *PINNED) / "locust"), "-f", str(users), "--host", url),
        *("--headless", "--only-summary", "--json", "--loglevel", "ERROR"),
        *("-u", str(LOCUST_USERS), "-r", str(LOCUST_USERS), "-t", f"{seconds}s"),
    ]
    spent, shown = command_cpu_seconds(command, BODY=BODY)
    try:
        (found,) = json.loads(shown[shown.index("[") : shown.rindex("]") + 1])
    except ValueError:
        raise SystemExit(f"locust has no figures: {shown[-2000:]}") from None
    if found["num_failures"]:
        raise SystemExit(f"locust failed: {shown[-2000:]}")
    return spent, found["num_requests"]


def aiohttp_alone(folder: Path, url: str, requests: int) -> float:
    """The CPU time of so many requests of a session of aiohttp, in seconds."""
    bodies = folder / "bodies"
    bodies.write_text(BODY)
    client = [sys.executable, "-m", "bench.engines.client", f"{url}/predict", str(bodies)]
    return command_cpu_seconds([*client, str(requests), str(LOCUST_USERS)])[0]


def measured(rate: int, seconds: float, rounds: int) -> list[Result]:
    """The load generator and locust in turns."""
    ours, lags, peer, bound = [], [], [], []
    with trivial_server() as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        idle, _ = loadgen(folder, url, 1, seconds)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            spent, summary = loadgen(folder, url, rate, seconds)
            ours.append((spent - idle) / summary["sent"] * 1e6)
            lags.append(summary["lag_p99_seconds"] * 1e3)
            # The start is in both runs.
            (short, few), (long, many) = (locust(folder, url, each) for each in LOCUST_SECONDS)
            peer.append((long - short) / (many - few) * 1e6)
            least, most = (aiohttp_alone(folder, url, each) for each in ALONE_REQUESTS)
            bound.append((most - least) / (ALONE_REQUESTS[1] - ALONE_REQUESTS[0]) * 1e6)
    return [
        result(f"CPU of a request at {rate:,}/s", ours, unit="µs", target=TARGET_US),
        result(f"send lag at {rate:,}/s, p99", lags, unit="ms", target=TARGET_LAG_MS),
        result("CPU of a request: against aiohttp's session alone", ours, bound, unit="µs"),
        result(
            "CPU of a request: against locust's FastHttpUser",
            ours,
            peer,
            unit="µs",
            target=TARGET_RATIO,
        ),
    ]


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=3000)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    save("load_generator", measured(options.rate, options.seconds, options.rounds))


if __name__ == "__main__":
    main()
