"""Prometheus with a hundred replicas: CPU of samples and rules, memory of a series, bytes of a sample.

The replicas are one server on a hundred loopback addresses, which answers with the page of a real
replica of the flights model whose numbers grow with each scrape.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from bench.gateway import free_port
from bench.running.stack import own_settings, own_stack
from bench.unit_costs.cpu import cpu_seconds
from bench.unit_costs.record import Cost, measured
from tidegate.settings import Settings
from tidegate.stack import prometheus

PART: Final = "prometheus"
TARGETS: Final = 100
SECONDS: Final = 60
SETTLE_SECONDS: Final = 20
SCRAPE_SECONDS: Final = 2.0
NUMBER: Final = re.compile(r" (\d+)\.0$", re.MULTILINE)


async def measure() -> list[Cost]:
    """Scrape with and without the rules of the stack, and compare."""
    page = await replica_page()
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder) / name for name in ("rules", "plain")]
        for each in folders:
            each.mkdir()
        with_rules = await scraped(folders[0], page, rules=True)
        without = await scraped(folders[1], page, rules=False)
    rules = (with_rules["cpu"] - without["cpu"]) / TARGETS
    note = f"{TARGETS} replicas, a scrape each {SCRAPE_SECONDS:g} s"
    samples = without["samples"] / without["series"]
    cpu, memory = without["cpu"] / without["rate"], without["memory"] / without["series"]
    disk = without["disk"] / without["samples"]
    figures = (
        ("prometheus: CPU of a sample", cpu * 1e6, "µs/sample", note),
        ("prometheus: CPU of the rules for a replica", rules * 1e3, "ms/s per replica", note),
        ("prometheus: memory of a series", memory, "B/series", note),
        (
            "prometheus: bytes of a sample",
            disk,
            "B/sample",
            f"{samples:.0f} a series, without the index",
        ),
    )
    return [measured(PART, *figure) for figure in figures]


async def replica_page() -> str:
    """The metrics of a replica of the flights model that has just started."""
    one = {"start": 1, "min": 1, "max": 1}
    async with own_stack(0, device={"simulated": False}, replicas=one) as supervisor:
        url = f"http://127.0.0.1:{supervisor.settings.replicas.first_port}/metrics"
        return await asyncio.to_thread(fetch, url)


def fetch(url: str, method: str = "GET") -> str:
    """The body of an answer."""
    with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=60) as answer:  # noqa: S310
        body: bytes = answer.read()
        return body.decode()


async def scraped(folder: Path, page: str, *, rules: bool) -> dict[str, float]:
    """Run Prometheus on the targets; returns CPU seconds a second, samples a second, memory, bytes."""
    port = free_port()
    settings = own_settings(folder, free_port(), {"prometheus": {"scrape_seconds": SCRAPE_SECONDS}})
    settings = settings.model_copy(
        update={"prometheus": settings.prometheus.model_copy(update={"port": free_port()})}
    )
    server = await serve(page, port)
    process = start(settings, folder, port, rules=rules)
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        before, began = cpu_seconds([process.pid]), time.monotonic()
        await asyncio.sleep(SECONDS)
        cpu = (cpu_seconds([process.pid]) - before) / (time.monotonic() - began)
        return await asyncio.to_thread(read, settings, folder, process, cpu)
    finally:
        process.terminate()
        process.wait(60)
        await server.cleanup()


async def serve(page: str, port: int) -> web.AppRunner:
    """The targets."""
    started = time.monotonic()

    async def metrics(_: web.Request) -> web.Response:
        added = int(time.monotonic() - started)
        text = NUMBER.sub(lambda found: f" {int(found[1]) + added}.0", page)
        return web.Response(text=text, headers={"content-type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app)
    await runner.setup()
    for target in range(TARGETS):
        await web.TCPSite(runner, f"127.0.1.{target + 1}", port).start()
    return runner


def start(settings: Settings, folder: Path, port: int, *, rules: bool) -> subprocess.Popen[bytes]:
    """Prometheus with the configuration of a stack, whose replicas are the targets."""
    config = prometheus.write_config(settings, folder)
    if not rules:
        for file in (folder / "rules").iterdir():
            file.write_text("groups: []\n", encoding="utf-8")
    replicas = {f"flights-{n + 1}": f"127.0.1.{n + 1}:{port}" for n in range(TARGETS)}
    prometheus.write_targets(folder, replicas)
    command = prometheus.argv(settings, config, folder / "data")
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([*command, "--web.enable-admin-api"], stdout=log, stderr=log)


def read(
    settings: Settings, folder: Path, process: subprocess.Popen[bytes], cpu: float
) -> dict[str, float]:
    """What it says about itself, and the size of a snapshot of its data."""
    url = f"http://127.0.0.1:{settings.prometheus.port}"
    status: dict[str, Any] = json.loads(fetch(f"{url}/api/v1/status/tsdb"))["data"]
    series = float(status["headStats"]["numSeries"])
    found = json.loads(
        fetch(f"{url}/api/v1/query?query=sum(scrape_samples_scraped)/{SCRAPE_SECONDS:g}")
    )
    rate = float(found["data"]["result"][0]["value"][1])
    resident = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert resident, "the process has ended"
    name = json.loads(fetch(f"{url}/api/v1/admin/tsdb/snapshot", "POST"))["data"]["name"]
    blocks = list((folder / "data" / "snapshots" / name).glob("*/meta.json"))
    samples = sum(json.loads(block.read_text())["stats"]["numSamples"] for block in blocks)
    chunks = (chunk for block in blocks for chunk in (block.parent / "chunks").iterdir())
    return {
        "cpu": cpu,
        "rate": rate,
        "series": series,
        "memory": 1024.0 * int(resident[1]),
        "samples": float(samples),
        "disk": float(sum(chunk.stat().st_size for chunk in chunks)),
    }
