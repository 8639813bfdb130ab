"""Cost of the gateway: HAProxy's CPU time per request, and the added latency.

`python -m bench.gateway` sends the same requests to a small ASGI application directly and through HAProxy,
alternately and one at a time, and prints medians. Then it sends bursts through HAProxy, and prints its CPU
time and memory. The configuration is that of the stack: buffered bodies, an access log, a check every 500 ms.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

PAIRS: Final = 2000
BURST: Final = 4000
BURST_CLIENTS: Final = 8
# A light request of the flight model, and a request near the maximum size of a body.
BODIES: Final = {"256 B": 256, "1 MB": 1_000_000}


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Read the body and respond immediately."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def free_port() -> int:
    """Return a port that is currently free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[str, str, psutil.Process]]:
    """Run the application and a gateway; yield their URLs and the process of the gateway."""
    replica = free_port()
    settings = Settings.model_validate(
        {
            "gateway": {"port": free_port(), "metrics_port": free_port()},
            "slots": {"per_replica": BURST_CLIENTS},
        }
    )
    config = configuration.write_config(settings, folder, [f"127.0.0.1:{replica}"])
    await haproxy.check(config)
    server = (sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning")
    with (folder / "access.ndjson").open("wb") as log:
        commands = (
            (*server, "--port", str(replica), "bench.gateway:application"),
            haproxy.argv(config),
        )
        processes = [
            await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=asyncio.subprocess.DEVNULL
            )
            for command in commands
        ]
    gateway_url = f"http://127.0.0.1:{settings.gateway.port}/predict"
    try:
        await wait_until_ready(gateway_url)
        yield f"http://127.0.0.1:{replica}/predict", gateway_url, psutil.Process(processes[1].pid)
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def wait_until_ready(url: str) -> None:
    """Wait until the URL responds with 200."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.post(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def post(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    """Send one request, and return its duration in microseconds."""
    start = time.perf_counter_ns()
    async with session.post(url, data=aiohttp.BytesPayload(memoryview(body))) as answer:
        await answer.read()
        assert answer.status == 200, await answer.text()
    return (time.perf_counter_ns() - start) / 1000


async def added_us(direct: str, gateway_url: str, body: bytes, pairs: int) -> tuple[float, float]:
    """Return the median latency of direct requests, and the median of the latency added by the gateway."""
    async with aiohttp.ClientSession() as session:
        times = [
            (await post(session, direct, body), await post(session, gateway_url, body))
            for _ in range(pairs)
        ]
    return (
        statistics.median(alone for alone, _ in times),
        statistics.median(gated - alone for alone, gated in times),
    )


async def cpu_us(process: psutil.Process, gateway_url: str, body: bytes, requests: int) -> float:
    """Return HAProxy's CPU time (user and system) per request in microseconds, in a burst."""
    before = process.cpu_times()
    async with aiohttp.ClientSession() as session:

        async def client() -> None:
            for _ in range(requests // BURST_CLIENTS):
                await post(session, gateway_url, body)

        await asyncio.gather(*(client() for _ in range(BURST_CLIENTS)))
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return float(spent / requests * 1e6)


async def main() -> None:
    """Measure and print."""
    release = ".".join(map(str, haproxy.release()))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}"
    table = Table(
        "body", "direct p50", "added p50", "CPU per request", title=f"HAProxy {release} ({machine})"
    )
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as (direct, gateway_url, process):
            idle = process.memory_info().rss / 2**20
            for name, size in BODIES.items():
                body = b"z" * size
                divisor = 1 if size < 1000 else 10
                alone, added = await added_us(direct, gateway_url, body, PAIRS // divisor)
                cpu = await cpu_us(process, gateway_url, body, BURST // divisor)
                table.add_row(name, f"{alone:.0f} µs", f"{added:.0f} µs", f"{cpu:.0f} µs")
            peak = process.memory_info().rss / 2**20
    console = Console()
    console.print(table)
    console.print(f"memory: {idle:.0f} MB at the start, {peak:.0f} MB after the bursts")


if __name__ == "__main__":
    asyncio.run(main())
