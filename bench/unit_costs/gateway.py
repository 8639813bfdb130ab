"""The gateway: CPU of a request through its configuration, and of its checks of many replicas."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from bench.gateway import BODIES, BURST, BURST_CLIENTS, cpu_us, free_port, running, wait_until_ready
from bench.unit_costs.cpu import cpu_seconds
from bench.unit_costs.record import Cost, measured
from tidegate.settings import Settings
from tidegate.stack.gateway import configuration, haproxy

PART: Final = "gateway"
SERVERS: Final = (10, 210)
SECONDS: Final = 10
ROUNDS: Final = 5


async def measure() -> list[Cost]:
    """Send bursts through a gateway; then let gateways of few and of many replicas check them."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder)) as (_, url, process):
            body = b"z" * BODIES["256 B"]
            await cpu_us(process, url, body, BURST)
            rounds = [await cpu_us(process, url, body, BURST) for _ in range(ROUNDS)]
    few, many = [await checks(count) for count in SERVERS]
    check = (many - few) / (SERVERS[1] - SERVERS[0])
    note = f"{BURST_CLIENTS} clients, median of {ROUNDS} times {BURST:,}, access log included"
    return [
        measured(
            PART, "gateway: CPU of a request", sorted(rounds)[ROUNDS // 2], "µs/request", note
        ),
        measured(
            PART,
            "gateway: CPU of checking a replica",
            check * 1e6,
            "µs/s per replica",
            "2 a second",
        ),
    ]


async def checks(servers: int) -> float:
    """CPU seconds a second of a gateway that only checks this number of replicas, here all the same one."""
    port = free_port()
    ports = {"port": free_port(), "metrics_port": free_port()}
    settings = Settings.model_validate({"gateway": ports})
    server = (sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning")
    with tempfile.TemporaryDirectory() as name:
        addresses = [f"127.0.0.1:{port}"] * servers
        config = configuration.write_config(settings, Path(name), addresses)
        commands = (
            (*server, "--port", str(port), "bench.gateway:application"),
            haproxy.argv(config),
        )
        processes = [
            await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
            for command in commands
        ]
        try:
            await wait_until_ready(f"http://127.0.0.1:{settings.gateway.port}/predict")
            before = cpu_seconds([processes[1].pid])
            await asyncio.sleep(SECONDS)
            return (cpu_seconds([processes[1].pid]) - before) / SECONDS
        finally:
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
