"""Scale-ins under load, one replica at a time: no request may fail, and the least loaded one is removed.

A stack without an autoscaler is scaled to `--most` replicas, then down to four in steps of one, repeatedly,
under a constant request rate. Each scale-in waits until all replicas are busy, if the load allows: an idle
replica does not show how requests are finished. Exits with 1 if a request failed or was sent to a second
replica, if fewer than half of the removed replicas were busy, or if a replica was removed although another
had a lower load. This is judged by the counts of HAProxy just before and just after the choice, and only if
neither of the two received or finished a request in between.

    python bench/scale_in.py --count 200
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
import numpy as np

sys.path[0] = str(Path(__file__).parents[1])  # otherwise bench/loadgen.py would hide the package

from bench.running.stack import constant_load, own_stack, resizer, until  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.loadgen.send.record import Recording  # noqa: E402
from tidegate.resizer.contract import ResizeLimitedError  # noqa: E402
from tidegate.runtime.metrics_text import sample_value, samples  # noqa: E402
from tidegate.stack.supervisor.supervisor import Supervisor  # noqa: E402

# Long, so that few requests per second keep many slots busy and the machine has no influence: at the default
# rate 13 slots, of the 16 of the minimum number of replicas.
SERVICE_SECONDS: Final = 2.0
SLOTS: Final = 4
MIN_REPLICAS: Final = 4
# The maximum time until a new replica receives its first request.
FIRST_REQUEST_SECONDS: Final = 10.0
POLL_SECONDS: Final = 0.05
# The fraction of the removed replicas that must have been busy for a meaningful run.
BUSY_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """The requests in progress on a replica, and the total number of requests that it received."""

    active: int
    total: int


@dataclass(slots=True)
class Results:
    """The results of the scale-ins."""

    done: int = 0
    judged: int = 0
    busy: int = 0
    wrong: list[str] = field(default_factory=list)

    def judge(self, name: str, before: Mapping[str, Load], after: Mapping[str, Load]) -> None:
        """Check whether a replica with a lower load stayed, if this can be known."""
        self.done += 1
        self.busy += before[name].active > 0
        unchanged = {one for one in before if before[one] == after.get(one)}
        if name not in unchanged:
            return
        self.judged += 1
        idler = [one for one in unchanged if before[one].active < before[name].active]
        if idler:
            loads = ", ".join(f"{one} has {before[one].active} requests" for one in sorted(before))
            self.wrong.append(f"{name} was removed although {idler[0]} had a lower load: {loads}")


async def fetch_metrics(supervisor: Supervisor, session: aiohttp.ClientSession, scope: str) -> str:
    """The metrics of HAProxy for its servers or its backends."""
    url = f"http://127.0.0.1:{supervisor.settings.gateway.metrics_port}/metrics?scope={scope}"
    async with session.get(url) as response:
        return await response.text()


async def count_retries(supervisor: Supervisor, session: aiohttp.ClientSession) -> int:
    """The number of requests that the gateway retried, as it does if a replica exits without a response.

    Clients do not notice a retry: "no request failed" alone does not show that replicas finished theirs.
    """
    text = await fetch_metrics(supervisor, session, "backend")
    return int(sample_value(text, "haproxy_backend_retry_warnings_total", proxy="model") or 0)


async def loads(supervisor: Supervisor, session: aiohttp.ClientSession) -> dict[str, Load]:
    """The load of each ready replica by its name, as counted by the gateway."""
    text = await fetch_metrics(supervisor, session, "server")
    current, total = (
        {labels["server"]: int(value) for labels, value in samples(text, name, proxy="model")}
        for name in ("haproxy_server_current_sessions", "haproxy_server_sessions_total")
    )
    servers = {
        name: f"model{name.removeprefix(f'{supervisor.settings.service.name}-')}"
        for name in in_state(supervisor, "ready") | in_state(supervisor, "draining")
    }
    return {name: Load(current[server], total[server]) for name, server in servers.items()}


def in_state(supervisor: Supervisor, state: str) -> set[str]:
    """The names of the replicas in this state."""
    return {one.id for one in supervisor.status().replicas if one.state == state}


async def all_ready(supervisor: Supervisor, count: int) -> None:
    """Wait until this number of replicas is ready."""
    await until(lambda: len(in_state(supervisor, "ready")) == count, f"{count} replicas are ready")


async def all_busy(supervisor: Supervisor, session: aiohttp.ClientSession) -> None:
    """Wait until each ready replica is busy, or until a timeout."""
    deadline = time.monotonic() + FIRST_REQUEST_SECONDS
    while time.monotonic() < deadline:
        found = await loads(supervisor, session)
        if all(found[name].active > 0 for name in in_state(supervisor, "ready") & found.keys()):
            return
        await asyncio.sleep(POLL_SECONDS)


async def scale_in_by_one(
    supervisor: Supervisor, session: aiohttp.ClientSession, results: Results
) -> None:
    """Remove one replica, and check which one was removed."""
    client = resizer(supervisor)
    ready = in_state(supervisor, "ready")
    before = {
        name: load for name, load in (await loads(supervisor, session)).items() if name in ready
    }
    await client.resize(supervisor.status().desired - 1)
    await until(lambda: in_state(supervisor, "ready") < ready, "a replica is removed")
    (removed,) = ready - in_state(supervisor, "ready")
    results.judge(removed, before, await loads(supervisor, session))


async def run(count: int, max_replicas: int, rate: float, port: int) -> int:
    """Run the benchmark; returns the exit code."""
    results, retries = Results(), 0
    started_at = time.monotonic()
    async with (
        own_stack(
            port,
            autoscaler={"enabled": False},
            replicas={"start": MIN_REPLICAS, "max": max_replicas},
            slots={"per_replica": SLOTS},
            device={"light_seconds": SERVICE_SECONDS},
        ) as supervisor,
        aiohttp.ClientSession() as session,
    ):
        address = f"http://127.0.0.1:{supervisor.settings.gateway.port}"
        async with constant_load(address, rate, Weights(light=1)) as recording:
            while results.done < count:
                desired = min(max_replicas, MIN_REPLICAS + count - results.done)
                await resizer(supervisor).resize(desired)
                await all_ready(supervisor, desired)
                goal = results.done + desired - MIN_REPLICAS
                while results.done < goal:
                    await all_busy(supervisor, session)
                    try:
                        await scale_in_by_one(supervisor, session, results)
                    except ResizeLimitedError as limited:
                        await asyncio.sleep(limited.retry_after_seconds)
                await until(
                    lambda: len(supervisor.status().replicas) == MIN_REPLICAS,
                    "all surplus replicas are removed",
                )
                print(f"{results.done} of {count}", file=sys.stderr, flush=True)
        retries = await count_retries(supervisor, session)
        restarts = sum(one.restarts for one in supervisor.status().replicas)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; "
        f"{rate:g} requests/s of {SERVICE_SECONDS:g} s (simulated device), {SLOTS} slots a replica,"
        f" {time.monotonic() - started_at:.0f} s in all"
    )
    return report(results, recording, retries, restarts)


def report(results: Results, recording: Recording, retries: int, restarts: int) -> int:
    """Print the results; returns the exit code."""
    failed = int(recording.failed.sum())
    late = float(np.quantile(recording.lag[recording.was_sent], 0.99))
    print(f"scale-ins done    {results.done}")
    print(f"  of one at work  {results.busy}")
    print(
        f"requests answered {int(recording.answered.sum())}, sent late by {1000 * late:.0f} ms (p99)"
    )
    print(f"requests failed   {failed}")
    print(f"sent again        {retries}")
    print(
        f"the idlest left   {results.judged - len(results.wrong)} of {results.judged} that were judged"
    )
    for error, times in Counter(recording.errors()).items():
        print(f"  {times} times: {error}")
    for sentence in results.wrong:
        print(f"  {sentence}")
    if restarts:
        print(f"  {restarts} replicas crashed and were restarted")
    too_idle = results.busy < BUSY_SHARE * results.done
    if too_idle:
        print("  too few of the removed replicas were busy for a meaningful result: raise --rate")
    return 1 if failed or retries or results.wrong or restarts or too_idle else 0


def main() -> None:
    """Run and exit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="scale-ins")
    parser.add_argument("--most", type=int, default=8, help="replicas at the start of each round")
    parser.add_argument("--rate", type=float, default=6.5, help="requests per second")
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    options = parser.parse_args()
    sys.exit(asyncio.run(run(options.count, options.most, options.rate, options.port)))


if __name__ == "__main__":
    main()
