"""Replicas that answer errors: `python -m bench.ejection` prints the share of requests that fail.

Replicas of fixed capacity stand behind a HAProxy, without and with `gateway.ejection`. An error is answered
at once, so a replica that fails is always free. Requests arrive as a Poisson process, as many as the replicas
without errors answer at a utilization of 0.6. The two gateways run at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import platform
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import orjson
from rich.console import Console
from rich.table import Table

from bench.gateway import free_port, wait_until_ready
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

SLOTS: Final = 2
SLOT_SECONDS: Final = 0.05
UTILIZATION: Final = 0.6
BROKEN: Final = 0.5
# The share of its answers that are errors, of each replica.
CASES: Final = {
    "one of 2 answers 500": (1.0, 0.0),
    "one of 3 answers 500": (1.0, 0.0, 0.0),
    "one of 5 answers 500": (1.0, 0.0, 0.0, 0.0, 0.0),
    "two of 5 answer 500": (1.0, 1.0, 0.0, 0.0, 0.0),
    "one of 5 answers 500 to 1 %": (0.01, 0.0, 0.0, 0.0, 0.0),
    "all of 5 answer 500 to 5 %": (0.05,) * 5,
    "all of 2 answer 500 to half": (0.5,) * 2,
}


class Replica:
    """Answers errors at once and other requests after the time in a slot; health checks always pass."""

    def __init__(self, errors: float, seed: int) -> None:
        self.errors = errors
        self.random = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                status = b"200 OK"
                if b" /ready " not in head:
                    await reader.readexactly(2)
                    if self.random.random() < self.errors:
                        status = b"500 Internal Server Error"
                    else:
                        await asyncio.sleep(SLOT_SECONDS)
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        writer.close()


async def run(
    folder: Path, errors: tuple[float, ...], seconds: float, *, ejection: bool
) -> Counter[str]:
    """Send the load; returns how many requests had each status, and how many ejections there were."""
    settings = Settings.model_validate(
        {
            "gateway": {"port": free_port(), "metrics_port": free_port(), "ejection": ejection},
            "slots": {"per_replica": SLOTS},
            # More could come, so no request is refused if the machine stands still for a moment.
            "replicas": {"max": len(errors) + 1},
        }
    )
    output = folder / f"output-{ejection}"
    async with contextlib.AsyncExitStack() as stack:
        addresses = []
        for number, share in enumerate(errors):
            port = free_port()
            server = await asyncio.start_server(Replica(share, number).serve, "127.0.0.1", port)
            stack.callback(server.close)
            addresses.append(f"127.0.0.1:{port}")
        config = configuration.write_config(settings, folder / f"gateway-{ejection}", addresses)
        with output.open("wb") as stdout:
            process = await asyncio.create_subprocess_exec(
                *haproxy.argv(config), stdout=stdout, stderr=asyncio.subprocess.DEVNULL
            )
        try:
            url = f"http://127.0.0.1:{settings.gateway.port}"
            await wait_until_ready(f"{url}/ready")
            await asyncio.sleep(1.0)  # two rounds of health checks: all replicas are up
            working = sum(share < BROKEN for share in errors) or len(errors)
            statuses = await load(
                f"{url}/predict", UTILIZATION * working * SLOTS / SLOT_SECONDS, seconds
            )
        finally:
            process.kill()
            await process.wait()
    actions = [orjson.loads(line)["event"]["action"] for line in output.read_bytes().splitlines()]
    statuses["ejections"] = actions.count("eject")
    return statuses


async def load(url: str, rate: float, seconds: float) -> Counter[str]:
    """Send requests whatever the answers are; returns how many had each status."""
    statuses: Counter[str] = Counter()
    loop, gaps = asyncio.get_running_loop(), random.Random(1)

    async def request(session: aiohttp.ClientSession) -> None:
        async with session.post(url, data=b"{}") as answer:
            await answer.read()
            statuses[str(answer.status)] += 1

    due, end = loop.time(), loop.time() + seconds
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as requests,
    ):
        while (due := due + gaps.expovariate(rate)) < end:
            await asyncio.sleep(max(0.0, due - loop.time()))
            requests.create_task(request(session))
    return statuses


def failed(statuses: Counter[str]) -> str:
    """The share of requests that got an error of a replica, and of those that got one of the gateway."""
    total = sum(count for name, count in statuses.items() if name != "ejections")
    refused = total - statuses["200"] - statuses["500"]
    return f"{statuses['500'] / total:.1%}, {refused / total:.1%} of {total:,}"


async def main(seconds: float) -> None:
    """Measure and print."""
    table = Table(
        "replicas",
        "500 and 503 without ejection",
        "500 and 503 with it",
        "ejections",
        title=f"{seconds:g} s each ({platform.machine()}, {os.cpu_count()} cores, "
        f"{datetime.now(UTC):%Y-%m-%d})",
    )
    for name, errors in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            before, after = await asyncio.gather(
                *(
                    run(Path(folder), errors, seconds, ejection=ejection)
                    for ejection in (False, True)
                )
            )
        table.add_row(name, failed(before), failed(after), str(after["ejections"]))
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long requests arrive")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.seconds))
