"""Runs a scenario on a live stack under a policy, and measures responses and replicas."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Final

import numpy as np
import orjson

from bench.running.requests_csv import read_requests
from bench.running.stack import ROWS, own_stack
from tidegate.loadgen.report.runs import read_summary
from tidegate.stack.supervisor.supervisor import Supervisor

SAMPLE_SECONDS: Final = 0.2
# Exit code of a load that was sent late; responses are timed from the planned send time, so it is valid.
SENT_LATE: Final = 98


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A measured run. Times are in seconds since the start of the load.

    Attributes:
        scenario: its name.
        policy: its expression.
        arrivals: the planned send time of each request.
        kinds: the kind of each request.
        responses: the response time of each request at the client; 60 s if it failed.
        services: the times in a slot, by kind.
        replicas: time, existing replicas (including starting and draining ones; one with twice its base
            slots counts as two), and ready ones.
        decisions: time, the decided change of the number, and the age of the signals.
        startups: the start-up time of each replica.
        answers: the end of each request that a replica recorded, and which one, in order.
        failed: the number of failed requests.
        lag_p99: of the load generator; above 10 ms the machine was too busy for it.
        seed: of the load.
    """

    scenario: str
    policy: str
    arrivals: list[float]
    kinds: list[str]
    responses: list[float]
    services: dict[str, list[float]]
    replicas: list[tuple[float, float, int]]
    decisions: list[tuple[float, int, float]]
    startups: list[float]
    answers: list[tuple[float, str]]
    failed: int
    lag_p99: float
    seed: int = 1

    def replica_seconds(self, seconds: float) -> float:
        """The cost during the load."""
        times = np.array([at for at, _, _ in self.replicas])
        counts = np.array([count for _, count, _ in self.replicas], float)
        inside = (times >= 0) & (times < seconds)
        lengths = np.diff(np.append(times[inside], seconds))
        return float((counts[inside] * lengths).sum() + times[inside][0] * counts[inside][0])

    @property
    def startup_seconds(self) -> float:
        """The mean start-up time of the replicas started during the load."""
        return fmean(self.startups)

    @property
    def signal_age_seconds(self) -> float:
        """The mean age of the signals at a decision."""
        return fmean(age for at, _, age in self.decisions if at >= 0)


async def measure(
    name: str,
    scenario: str,
    policy: str,
    sections: dict[str, dict[str, Any]],
    *,
    port: int,
    seed: int,
) -> LiveRun:
    """Run the scenario (as TOML) under the policy, on a stack of its own with these settings."""
    settings = {**sections, "autoscaler": {"policy": policy}}
    async with own_stack(port, **settings) as supervisor:
        folder = supervisor.settings.stack.data_dir
        (folder / "scenario.toml").write_text(scenario, encoding="utf-8")
        seen: list[tuple[float, float, int]] = []
        startups: dict[tuple[str, float], float] = {}
        sampling = asyncio.create_task(_sample(supervisor, seen, startups))
        await _send(supervisor, folder, seed)
        sampling.cancel()
        latest = folder / "runs" / "latest"
        summary, sent = read_summary(latest), read_requests(latest)
        start = summary.started_at.timestamp()
        events = list(_events(folder / "logs"))
    return LiveRun(
        scenario=name,
        policy=policy,
        arrivals=sent.planned.tolist(),
        kinds=sent.kinds,
        responses=np.minimum(sent.responses, 60.0).tolist(),
        services=_services(events),
        replicas=[(at - start, count, ready) for at, count, ready in seen],
        decisions=[(at - start, change, age) for at, change, age in _decisions(events)],
        startups=[took for (_, began), took in startups.items() if began > start],
        answers=[(at - start, replica) for at, replica in _answers(events)],
        failed=int(np.isinf(sent.responses).sum()),
        lag_p99=summary.lag_p99_seconds or 0.0,
        seed=seed,
    )


async def _send(supervisor: Supervisor, folder: Path, seed: int) -> None:
    url = f"http://127.0.0.1:{supervisor.settings.gateway.port}"
    where = ("--url", url, "--rows", str(ROWS), "--out", str(folder / "runs"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidegate.loadgen", "run", str(folder / "scenario.toml"), *where),
        *("--seed", str(seed)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode not in {0, SENT_LATE}:
        sys.exit(f"the load could not be sent: {output.decode()}")


async def _sample(
    supervisor: Supervisor,
    seen: list[tuple[float, float, int]],
    startups: dict[tuple[str, float], float],
) -> None:
    while True:
        status = supervisor.status()
        count = len(status.replicas) * status.slots / status.own_slots
        seen.append((time.time(), count, status.ready))
        for one in status.replicas:
            if one.ready_at:
                startups[one.id, one.started_at] = one.ready_at - one.started_at
        await asyncio.sleep(SAMPLE_SECONDS)


def _events(logs: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(logs.glob("*.ndjson")):
        yield from map(orjson.loads, path.read_bytes().splitlines())


def _services(events: list[dict[str, Any]]) -> dict[str, list[float]]:
    """By kind, the time of each request without its wait at the gateway.

    The gateway sends a replica no more requests than it has slots, so this is the time in a slot.
    """
    found: dict[str, list[float]] = {}
    for event in events:
        if event["event"].get("dataset") == "tidegate.request" and (
            kind := event["tidegate"].get("work")
        ):
            held = event["event"]["duration"] - event["tidegate"]["gateway"]["queue_ns"]
            found.setdefault(kind, []).append(held / 1e9)
    return found


def _answers(events: list[dict[str, Any]]) -> list[tuple[float, str]]:
    """The end of each request on Unix' clock, and the replica."""
    return sorted(
        (datetime.fromisoformat(event["@timestamp"]).timestamp(), event["service"]["node"]["name"])
        for event in events
        if event["event"].get("dataset") == "tidegate.request"
    )


def _decisions(events: list[dict[str, Any]]) -> list[tuple[float, int, float]]:
    found = []
    for event in events:
        if event["event"].get("dataset") != "tidegate.decision":
            continue
        decision = event["tidegate"]["decision"]
        at = datetime.fromisoformat(event["@timestamp"]).timestamp()
        age = decision["signals"]["age_seconds"]
        change = decision["desired"] - decision["signals"]["desired"]
        found.append((at, change, 0.0 if age is None else age))
    return sorted(found)
