"""A closed-loop client: `python -m bench.engines.client URL BODIES REQUESTS CONNECTIONS` prints the seconds.

BODIES is a file with one request body a line. Any answer but 200 ends it with an error.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import aiohttp


async def send(url: str, bodies: list[bytes], requests: int, connections: int) -> float:
    """Send requests, each connection one after the other; returns the seconds from first to last."""
    numbers = iter(range(requests))
    headers = {"content-type": "application/json"}

    async def client(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            async with session.post(
                url, data=bodies[number % len(bodies)], headers=headers
            ) as answer:
                body = await answer.read()
                assert answer.status == 200, (answer.status, body)

    async with aiohttp.ClientSession() as session:
        began = time.perf_counter()
        await asyncio.gather(*(client(session) for _ in range(connections)))
        return time.perf_counter() - began


def main() -> None:
    """Send, and print the seconds."""
    url, bodies, requests, connections = sys.argv[1:]
    lines = Path(bodies).read_bytes().splitlines()
    print(asyncio.run(send(url, lines, int(requests), int(connections))))


if __name__ == "__main__":
    main()
