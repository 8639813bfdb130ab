"""A request through a real stack: CPU of each program, events and their bytes, series."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, Final

import orjson

from bench.engines import client
from bench.running.stack import ROWS, own_stack
from bench.stack.sides import by_part
from bench.unit_costs.cpu import cpu_seconds
from bench.unit_costs.record import Cost, measured
from tidegate.loadgen.plan.bodies import Bodies, read_rows
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings
from tidegate.stack.gateway.access_log import ACCESS, constant_fields, copy_events
from tidegate.stack.supervisor.supervisor import Supervisor

PART: Final = "requests"
CLIENTS: Final = 4
WARM_UP: Final = 400
REQUESTS: Final = 4000
HEAVY_REQUESTS: Final = 400
HEAVY_ROWS: Final = 256
ACCESS_LINES: Final = 20_000
# As HAProxy writes it.
ACCESS_LINE: Final = (
    b'["access",1700000000002000,1700000000000000,200,"POST","\\/predict",'
    b'"-","00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",null,0,"model1","0","----"]\n'
)
# The programs of a stack, as `bench.stack` calls them.
PROGRAMS: Final = {
    "replica": "replica",
    "gateway": "gateway",
    "collector, embedded store": "collector",
    "prometheus": "Prometheus",
}


async def measure() -> list[Cost]:
    """Start a stack with one replica of the flights model, and send it requests."""
    one = {"start": 1, "min": 1, "max": 1}
    # Without the objective's slow requests: they are always sampled, and a busy machine makes some.
    sections: dict[str, Any] = {
        "device": {"simulated": False},
        "replicas": one,
        "slots": {"per_replica": CLIENTS},
    }
    async with own_stack(0, **sections) as supervisor:
        await send(supervisor, "light", WARM_UP)
        logs = supervisor.settings.stack.data_dir / "logs"
        seen = offsets(logs)
        spent = await cpu_of(supervisor, "light", REQUESTS)
        events = new_events(logs, seen)
        heavy = await cpu_of(supervisor, "heavy", HEAVY_REQUESTS)
        settings = supervisor.settings
        costs = [
            measured(PART, f"{name}: CPU of a request with 1 row", spent[name] * 1e6, "µs/request")
            for name in PROGRAMS
        ]
        per_row = (heavy["replica"] - spent["replica"]) / (HEAVY_ROWS - 1)
        costs.append(measured(PART, "replica: CPU of a further row", per_row * 1e6, "µs/row"))
        costs += event_costs(events, settings)
        costs += series(settings)
        costs.append(access_writer(settings))
        return costs


async def send(supervisor: Supervisor, kind: str, count: int) -> None:
    """Send requests of one kind, `CLIENTS` at a time."""
    bodies = Bodies(read_rows(ROWS), [kind])  # type: ignore[list-item]
    pool = bodies._pools[kind]  # type: ignore[index]  # noqa: SLF001
    url = f"http://127.0.0.1:{supervisor.settings.gateway.port}/predict"
    await client.send(url, pool, count, CLIENTS)


async def cpu_of(supervisor: Supervisor, kind: str, count: int) -> dict[str, float]:
    """CPU seconds per request of each program, what it uses at rest left out."""
    programs = by_program()
    resting = {name: cpu_seconds(pids) for name, pids in programs.items()}
    await asyncio.sleep(5)
    before = {name: cpu_seconds(pids) for name, pids in programs.items()}
    at_rest = {name: (before[name] - resting[name]) / 5 for name in programs}
    began = time.monotonic()
    await send(supervisor, kind, count)
    await asyncio.sleep(2)  # the collector delivers once a second
    took = time.monotonic() - began
    return {
        name: (cpu_seconds(pids) - before[name] - at_rest[name] * took) / count
        for name, pids in programs.items()
    }


def by_program() -> dict[str, list[int]]:
    """The processes of each program of the stack."""
    parts = by_part(os.getpid())
    return {name: parts[part] for name, part in PROGRAMS.items()}


def offsets(logs: Path) -> dict[Path, int]:
    """The present end of each event file."""
    return {path: path.stat().st_size for path in logs.glob("*.ndjson")}


def new_events(logs: Path, seen: dict[Path, int]) -> list[dict[str, Any]]:
    """The events that were written since."""
    return [
        orjson.loads(line)
        for path in logs.glob("*.ndjson")
        for line in path.read_bytes()[seen.get(path, 0) :].splitlines()
    ]


def event_costs(events: list[dict[str, Any]], settings: Settings) -> list[Cost]:
    """Events of a request and their size; spans of a request whose trace is recorded."""
    datasets: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    traces = set()
    for event in events:
        spans = event["data_stream"]["type"] == "traces"
        name = "span" if spans else event["data_stream"]["dataset"].removeprefix("tidegate.")
        datasets[name] += 1
        sizes[name] += len(orjson.dumps(event)) + 1
        if spans:
            traces.add(event["trace"]["id"])
    note = f"telemetry.sample_ratio {settings.telemetry.sample_ratio:g}"
    lines = [("request", "a request event"), ("span", "a span")]
    costs = [
        measured(PART, f"event: bytes of {words}", sizes[name] / datasets[name], "B/event")
        for name, words in lines
    ]
    spans_each = datasets["span"] / max(1, len(traces))
    return [
        *costs,
        measured(PART, "event: spans of a recorded trace", spans_each, "spans/trace", note),
    ]


def access_writer(settings: Settings) -> Cost:
    """CPU of the program that reads the gateway's lines, for a request that its replica has recorded."""
    constant = constant_fields(settings, ACCESS)
    with tempfile.TemporaryFile() as lines:
        lines.write(ACCESS_LINE * ACCESS_LINES)
        lines.seek(0)
        began = time.process_time()
        writer = event_writer(settings, "bench")
        copy_events(lines, writer, io.BytesIO(), constant, every=False)
    spent = (time.process_time() - began) / ACCESS_LINES
    return measured(PART, "access log: CPU of a line", spent * 1e6, "µs/request", "one process")


def series(settings: Settings) -> list[Cost]:
    """Series of a replica, of the gateway and of the recording rules."""
    replica = page(f"http://127.0.0.1:{settings.replicas.first_port}/metrics")
    model = sum(line.startswith("ml_") for line in replica)
    gateway = page(f"http://127.0.0.1:{settings.gateway.metrics_port}/metrics")
    server = sum('server="model1"' in line for line in gateway)
    query = urllib.parse.urlencode({"query": 'count({__name__=~".+:.+"})'})
    url = f"http://127.0.0.1:{settings.prometheus.port}/api/v1/query?{query}"
    with urllib.request.urlopen(url) as answer:
        recorded = float(json.load(answer)["data"]["result"][0]["value"][1])
    names = len(re.findall(r"ml_feature_reference_samples", "\n".join(replica)))
    note = f"the flights model, {names} of its lines name a feature's reference"
    return [
        measured(PART, "series of a replica, without a model", len(replica) - model, "series"),
        measured(PART, "series of a replica, of its model", model, "series", note),
        measured(PART, "series of the gateway for a replica", server, "series"),
        measured(PART, "series of the gateway itself", len(gateway) - 2 * server, "series"),
        measured(PART, "recorded series", recorded, "series"),
    ]


def page(url: str) -> list[str]:
    """The samples of a page of metrics."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        lines = answer.read().decode().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
