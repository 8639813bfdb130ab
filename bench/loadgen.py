"""Cost of the load generator: send lag and CPU time per request, against a trivial server.

    python bench/loadgen.py [--seconds 5] [--rates 30,200,500]

The server responds immediately with two bytes, in a separate process, so the sender is measured. `wrk` and
`oha` are also measured if they are on PATH. wrk has no rate (it is a closed loop without pauses); oha has
one, and measures from the intended send time (`--latency-correction`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

SERVER = """
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
ROW = (
    '{"month":7,"day":11,"carrier":"UA","origin":"EWR","dest":"IAH","distance":1400,"temp":39.0}\n'
)


@contextmanager
def trivial_server() -> Iterator[str]:
    """Run a server that responds immediately, in a separate process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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


def cpu_seconds(command: list[str]) -> tuple[float, str]:
    """Return the CPU time of a command and its children, and its output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, done.stdout + done.stderr


def loadgen(folder: Path, url: str, rate: int, seconds: float) -> tuple[float, dict[str, float]]:
    """Return the CPU time of a run in seconds, and its summary."""
    scenario = folder / "bench.toml"
    scenario.write_text(
        'name = "bench"\narrivals = "poisson"\nweights = { light = 1 }\n'
        f'phases = [{{ kind = "constant", seconds = {seconds}, rate = {rate} }}]\n'
    )
    (folder / "rows.ndjson").write_text(ROW * 100)
    spent, shown = cpu_seconds(
        [
            *(sys.executable, "-m", "tidegate.loadgen", "run", str(scenario), "--url", url),
            *("--rows", str(folder / "rows.ndjson"), "--out", str(folder / "runs")),
        ]
    )
    path = folder / "runs" / "latest" / "summary.json"
    if not path.exists():
        raise SystemExit(shown)
    return spent, json.loads(path.read_text())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the cost of the load generator.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rates", default="30,200,500")
    arguments = parser.parse_args()
    rates = [int(text) for text in arguments.rates.split(",")]
    load = os.getloadavg()[0]
    print(
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, load average {load:.1f} before"
    )
    with trivial_server() as url, tempfile.TemporaryDirectory() as folder:
        # The cost of start, live view and report, which does not depend on the rate and is subtracted.
        idle, _ = loadgen(Path(folder), url, 1, arguments.seconds)
        print("\nsender     rate    lag p50    lag p99   lag max   CPU/request")
        for rate in rates:
            spent, summary = loadgen(Path(folder), url, rate, arguments.seconds)
            each = (spent - idle) / summary["sent"]
            lags = [summary[f"lag_{name}_seconds"] * 1e3 for name in ("p50", "p99", "max")]
            print(
                f"loadgen  {rate:4d}/s "
                + " ".join(f"{lag:7.2f} ms" for lag in lags)
                + f"   {each * 1e6:7.0f} µs"
            )
        peers(url, rates[-1], arguments.seconds)


def peers(url: str, rate: int, seconds: float) -> None:
    """Measure wrk and oha if they are installed."""
    body = json.dumps({"instances": [json.loads(ROW)], "work": "light"})
    for name in ("wrk", "oha"):
        if shutil.which(name) is None:
            print(f"{name:8s} skipped: not on PATH")
            continue
        if name == "wrk":
            script = (
                "wrk.method='POST'; wrk.headers['Content-Type']='application/json'; wrk.body=[["
            )
            with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
                file.write(f"{script}{body}]]")
                file.flush()
                command = [
                    "wrk",
                    "-t1",
                    "-c8",
                    f"-d{seconds:.0f}s",
                    "-s",
                    file.name,
                    f"{url}/predict",
                ]
                spent, shown = cpu_seconds(command)
            sent = int(found[1]) if (found := re.search(r"(\d+) requests in", shown)) else 0
            rate_text = "without a rate"
        else:
            command = [
                *("oha", "--no-tui", "--output-format", "json", "-m", "POST", "-d", body),
                *("-T", "application/json", "-q", str(rate), "-z", f"{seconds:.0f}s"),
                *("--latency-correction", f"{url}/predict"),
            ]
            spent, shown = cpu_seconds(command)
            try:
                sent = sum(json.loads(shown)["statusCodeDistribution"].values())
            except (ValueError, KeyError):
                sent = 0
            rate_text = f"{rate}/s"
        if sent:
            print(
                f"{name:8s} {rate_text}, {sent} requests: {spent / sent * 1e6:.0f} µs of CPU each"
            )
        else:
            print(f"{name:8s} has no figures: {shown.strip()[-200:]}")


if __name__ == "__main__":
    main()
