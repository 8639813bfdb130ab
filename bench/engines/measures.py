"""What is measured of a running engine: CPU, memory, capacity, latency."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.engines.bodies import Bodies, probability
from bench.engines.cpu import cpu_seconds, memory_bytes
from bench.engines.engine import Running

CONNECTIONS: Final = 2
CAPACITY_CONNECTIONS: Final = 4
REST_SECONDS: Final = 5.0
SENT_LATE: Final = 98
MIB: Final = 2**20


@dataclass
class Measured:
    """Of one engine; a value a round.

    Attributes:
        cpu_us: CPU of all its processes per request, in µs, without what it uses at rest.
        path_us: the same of those that a request passes through.
        rest: fraction of a core that it uses without requests.
        capacity: requests a second, most of them in a closed loop of `CAPACITY_CONNECTIONS`.
        p50, p99: at half of the capacity, open loop, in seconds; infinite if so many requests failed.
        memory: of all its processes in MiB, shared pages counted once.
        start: seconds until its first answer.
        objective: seconds from the overload until the objective is kept; empty if it does not scale.
    """

    cpu_us: list[float] = field(default_factory=list)
    path_us: list[float] = field(default_factory=list)
    rest: list[float] = field(default_factory=list)
    capacity: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    start: list[float] = field(default_factory=list)
    objective: list[float] = field(default_factory=list)


def answers(running: Running, bodies: Bodies) -> bool:
    """Whether it answers a prediction, and the same one as every other engine.

    Raises:
        SystemExit: it answers another one.
    """
    body = bodies.of(tensors=running.engine.tensors).read_text().splitlines()[0]
    curl = ["curl", "-sf", "-m", "10", running.url + running.engine.path, "-d", body]
    try:
        command = running.inside([*curl, "-H", "content-type: application/json"])
    except ValueError:  # its namespace has no process yet
        return False
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return False
    found = probability(json.loads(done.stdout))
    if abs(found - bodies.expected) > 1e-5:
        raise SystemExit(f"{running.engine.name} answers {found}, expected {bodies.expected}")
    return True


def send(running: Running, bodies: Bodies, requests: int, connections: int) -> float:
    """Send requests in a closed loop; returns the seconds."""
    client = [sys.executable, "-m", "bench.engines.client", running.url + running.engine.path]
    file = bodies.of(tensors=running.engine.tensors)
    command = running.inside([*client, str(file), str(requests), str(connections)])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{running.engine.name}: {done.stderr[-2000:]}")
    return float(done.stdout)


def measure_cpu(running: Running, bodies: Bodies, requests: int, found: Measured) -> None:
    """One round: at rest, then under requests."""
    everything, path = running.pids(), running.request_path()
    first, began = [cpu_seconds(everything), cpu_seconds(path)], time.monotonic()
    time.sleep(REST_SECONDS)
    second, loaded = [cpu_seconds(everything), cpu_seconds(path)], time.monotonic()
    rest = [(b - a) / (loaded - began) for a, b in zip(first, second, strict=True)]
    send(running, bodies, requests, CONNECTIONS)
    time.sleep(1.0)  # the collector of a stack delivers what was written
    took = time.monotonic() - loaded
    spent = [cpu_seconds(everything) - second[0], cpu_seconds(path) - second[1]]
    found.rest.append(rest[0])
    found.cpu_us.append((spent[0] - rest[0] * took) / requests * 1e6)
    found.path_us.append((spent[1] - rest[1] * took) / requests * 1e6)
    found.memory.append(memory_bytes(running.pids()) / MIB)


def measure_capacity(running: Running, bodies: Bodies, requests: int, found: Measured) -> None:
    """One round: as many requests a second as it answers, beside the client on the same machine."""
    found.capacity.append(requests / send(running, bodies, requests, CAPACITY_CONNECTIONS))


def measure_latency(
    running: Running, bodies: Bodies, rate: float, seconds: float, found: Measured
) -> None:
    """One round: an open loop at a rate."""
    summary = load(running, bodies, [(seconds, rate)])
    for values, name in ((found.p50, "p50"), (found.p99, "p99")):
        seconds_found = summary[f"response_{name}_seconds"]
        values.append(math.inf if seconds_found is None else seconds_found)


def load(
    running: Running, bodies: Bodies, phases: list[tuple[float, float]]
) -> dict[str, float | None]:
    """Send an open loop of constant phases (seconds, rate); returns the summary of the load generator."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sent_load(running, bodies, phases, folder)
        found: dict[str, float | None] = json.loads(
            (folder / "latest" / "summary.json").read_text()
        )
        return found


def sent_load(
    running: Running, bodies: Bodies, phases: list[tuple[float, float]], folder: Path
) -> None:
    """Send an open loop, and leave its records in the folder.

    Raises:
        SystemExit: it could not be sent.
    """
    lines = ['name = "bench"', 'arrivals = "poisson"']
    for seconds, rate in phases:
        lines += ["[[phases]]", 'kind = "constant"', f"seconds = {seconds:g}", f"rate = {rate:g}"]
    scenario = folder / "scenario.toml"
    scenario.write_text("\n".join(lines))
    command = [sys.executable, "-m", "tidegate.loadgen", "run", str(scenario), "--url", running.url]
    command += ["--path", running.engine.path, "--out", str(folder)]
    command += ["--body", str(bodies.of(tensors=running.engine.tensors))]
    done = subprocess.run(running.inside(command), capture_output=True, text=True, check=False)
    if done.returncode not in {0, SENT_LATE}:
        raise SystemExit(f"{running.engine.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
