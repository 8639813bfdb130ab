"""The gateway in overload: `python -m bench.overload` prints what clients get, and the gateway's memory.

Replicas of fixed capacity stand behind a HAProxy with the default settings. `replicas.max` of them run, so
no more can come. Requests arrive at constant intervals whatever the answers are; latency counts from the
intended time. `--rate` below the capacity and a long `--seconds` make a soak of the memory of the gateway.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import psutil
from rich.console import Console
from rich.table import Table

from bench.gateway import free_port, wait_until_ready
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

REPLICAS: Final = 5
SLOTS: Final = 2
SLOT_SECONDS: Final = 0.2
CAPACITY: Final = REPLICAS * SLOTS / SLOT_SECONDS
TIMEOUT_SECONDS: Final = 30.0
SAMPLE_SECONDS: Final = 10.0


@dataclass
class Outcome:
    """What the clients got: latencies in seconds, by kind of answer, and the gateway's memory in MiB."""

    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    timeouts: int = 0
    others: int = 0
    memory: list[float] = field(default_factory=list)


async def replica(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request of a connection after the time in its slot, and health checks at once."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"GET /ready"):
                length = head.lower().split(b"content-length:")[1].split()[0]
                await reader.readexactly(int(length))
                await asyncio.sleep(SLOT_SECONDS)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[str, Settings, psutil.Process]]:
    """Run the replicas and a gateway; yield its URL, the settings and its process."""
    settings = Settings.model_validate(
        {
            "gateway": {"port": free_port(), "metrics_port": free_port()},
            "slots": {"per_replica": SLOTS},
            "replicas": {"max": REPLICAS},
        }
    )
    async with contextlib.AsyncExitStack() as stack:
        ports = [free_port() for _ in range(REPLICAS)]
        for port in ports:
            server = await asyncio.start_server(replica, "127.0.0.1", port)
            stack.callback(server.close)
        config = configuration.write_config(
            settings, folder, [f"127.0.0.1:{port}" for port in ports]
        )
        await haproxy.check(config)
        process = await asyncio.create_subprocess_exec(
            *haproxy.argv(config),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{settings.gateway.port}/predict"
            await wait_until_ready(url)
            await asyncio.sleep(1.0)  # two rounds of health checks: all replicas are up
            yield url, settings, psutil.Process(process.pid)
        finally:
            process.kill()
            await process.wait()


async def load(url: str, process: psutil.Process, rate: float, seconds: float) -> Outcome:
    """Send requests at constant intervals, and wait for every answer."""
    outcome = Outcome()
    loop = asyncio.get_running_loop()
    begin = loop.time()

    async def sample() -> None:
        while True:
            outcome.memory.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(SAMPLE_SECONDS)

    async def request(session: aiohttp.ClientSession, due: float) -> None:
        try:
            async with session.post(url, data=b"{}") as answer:
                await answer.read()
                took = loop.time() - due
                if answer.status == 200:
                    outcome.answered.append(took)
                elif answer.status == 503:
                    outcome.refused.append(took)
                    outcome.without_retry_after += "Retry-After" not in answer.headers
                else:
                    outcome.others += 1
        except TimeoutError:
            outcome.timeouts += 1
        except aiohttp.ClientError:
            outcome.others += 1

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    sampling = asyncio.create_task(sample())
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
        asyncio.TaskGroup() as requests,
    ):
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            requests.create_task(request(session, due))
    sampling.cancel()
    outcome.memory.append(process.memory_info().rss / 2**20)
    return outcome


def quantiles(latencies: list[float]) -> str:
    """The 50th and the 95th percentile."""
    if len(latencies) < 2:
        return "none"
    cuts = statistics.quantiles(latencies, n=20)
    return f"{cuts[9]:.2f} s and {cuts[18]:.2f} s"


async def main(rate: float, seconds: float) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as (url, settings, process):
            start = time.monotonic()
            outcome = await load(url, process, rate, seconds)
            took = time.monotonic() - start
    objective = settings.slo.latency_seconds
    goodput = len(outcome.answered) / took
    table = Table(
        title=f"{rate:g} requests a second for {seconds:g} s, capacity {CAPACITY:g}, "
        f"objective {objective:g} s ({platform.machine()}, {os.cpu_count()} cores, "
        f"{datetime.now(UTC):%Y-%m-%d})",
        show_header=False,
    )
    rows = {
        "goodput": f"{goodput:.1f} a second, {goodput / min(CAPACITY, rate):.0%} of what is possible",
        "accepted: p50 and p95": quantiles(outcome.answered),
        "503": f"{len(outcome.refused)}, {outcome.without_retry_after} without Retry-After",
        "503: p50 and p95": quantiles(outcome.refused),
        "client timeouts": f"{outcome.timeouts} (after {TIMEOUT_SECONDS:g} s)",
        "other answers and errors": str(outcome.others),
        "gateway's memory": f"{outcome.memory[0]:.0f} MiB at the start, {max(outcome.memory):.0f} at most, "
        f"{outcome.memory[-1]:.0f} at the end",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=250.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long they arrive")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rate, arguments.seconds))
