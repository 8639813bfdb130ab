"""Scale-ins under load, one replica after the other: does a request fail, and does the idlest leave?

A stack without an autoscaler is told to have `--most` replicas, then one fewer and one fewer down to four,
and again, while requests come at a constant rate. One is told to leave when all are at work, as far as the
load allows: a replica that is idle shows nothing of how requests are finished. Exits with 1 if a request
failed or had to be sent to a second replica, if fewer than half of those that left were at work, or if a
replica left although another was idler. That is judged by HAProxy's own counts just before and just after
the choice, and only if neither it nor the idler one got or finished a request in between.

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

sys.path[0] = str(Path(__file__).parents[1])  # or bench/loadgen.py would hide the package

from bench.running.stack import constant_load, own_stack, resizer, until  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.loadgen.send.record import Recording  # noqa: E402
from tidegate.resizer.contract import ResizeLimitedError  # noqa: E402
from tidegate.runtime.metrics_text import sample_value, samples  # noqa: E402
from tidegate.stack.supervisor.supervisor import Supervisor  # noqa: E402

# Long, so that few requests a second keep many slots at work and the machine is no part of it: with the rate
# by default 13 of them, of the 16 that the fewest replicas have.
SERVICE_SECONDS: Final = 2.0
SLOTS: Final = 4
LEAST: Final = 4
# So long a new replica may take until it has got its first request.
PATIENCE_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.05
# Of the replicas that leave, those that must be at work for the run to show anything.
BUSY_SHARE: Final = 0.5


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica works on now, and how many requests it has got so far."""

    now: int
    total: int


@dataclass(slots=True)
class Tally:
    """What became of the scale-ins."""

    done: int = 0
    judged: int = 0
    busy: int = 0
    wrong: list[str] = field(default_factory=list)

    def judge(self, name: str, before: Mapping[str, Load], after: Mapping[str, Load]) -> None:
        """Whether one that was idler stayed, as far as that can be known."""
        self.done += 1
        self.busy += before[name].now > 0
        still = {one for one in before if before[one] == after.get(one)}
        if name not in still:
            return
        self.judged += 1
        idler = [one for one in still if before[one].now < before[name].now]
        if idler:
            said = ", ".join(f"{one} works on {before[one].now}" for one in sorted(before))
            self.wrong.append(f"{name} left although {idler[0]} was idler: {said}")


async def told(supervisor: Supervisor, session: aiohttp.ClientSession, scope: str) -> str:
    """What HAProxy's exporter says of its servers, or of its backends."""
    url = f"http://127.0.0.1:{supervisor.settings.gateway.metrics_port}/metrics?scope={scope}"
    async with session.get(url) as answer:
        return await answer.text()


async def repeated(supervisor: Supervisor, session: aiohttp.ClientSession) -> int:
    """How often the gateway sent a request anew, as it does if a replica goes without an answer.

    A client sees none of that, so that "no request failed" alone does not show that any was finished.
    """
    text = await told(supervisor, session, "backend")
    return int(sample_value(text, "haproxy_backend_retry_warnings_total", proxy="model") or 0)


async def loads(supervisor: Supervisor, session: aiohttp.ClientSession) -> dict[str, Load]:
    """The load of each replica that is ready, by its name, as the gateway counts it."""
    text = await told(supervisor, session, "server")
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
    """The names of the replicas in that state."""
    return {one.id for one in supervisor.status().replicas if one.state == state}


async def all_ready(supervisor: Supervisor, count: int) -> None:
    """Wait for so many replicas."""
    await until(lambda: len(in_state(supervisor, "ready")) == count, f"{count} replicas are ready")


async def all_at_work(supervisor: Supervisor, session: aiohttp.ClientSession) -> None:
    """Wait until each replica that is ready has got something to do, for a while at most."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        found = await loads(supervisor, session)
        if all(found[name].now > 0 for name in in_state(supervisor, "ready") & found.keys()):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def one_down(supervisor: Supervisor, session: aiohttp.ClientSession, tally: Tally) -> None:
    """Have one replica fewer, and judge which one left."""
    client = resizer(supervisor)
    ready = in_state(supervisor, "ready")
    before = {
        name: load for name, load in (await loads(supervisor, session)).items() if name in ready
    }
    await client.resize(supervisor.status().desired - 1)
    await until(lambda: in_state(supervisor, "ready") < ready, "a replica leaves")
    (left,) = ready - in_state(supervisor, "ready")
    tally.judge(left, before, await loads(supervisor, session))


async def run(count: int, most: int, rate: float, port: int) -> int:
    """Do it all; returns the exit code."""
    tally, again = Tally(), 0
    began = time.monotonic()
    async with (
        own_stack(
            port,
            autoscaler={"enabled": False},
            replicas={"start": LEAST, "max": most},
            slots={"per_replica": SLOTS},
            device={"light_seconds": SERVICE_SECONDS},
        ) as supervisor,
        aiohttp.ClientSession() as session,
    ):
        address = f"http://127.0.0.1:{supervisor.settings.gateway.port}"
        async with constant_load(address, rate, Weights(light=1)) as recording:
            while tally.done < count:
                wanted = min(most, LEAST + count - tally.done)
                await resizer(supervisor).resize(wanted)
                await all_ready(supervisor, wanted)
                goal = tally.done + wanted - LEAST
                while tally.done < goal:
                    await all_at_work(supervisor, session)
                    try:
                        await one_down(supervisor, session, tally)
                    except ResizeLimitedError as limited:
                        await asyncio.sleep(limited.retry_after_seconds)
                await until(
                    lambda: len(supervisor.status().replicas) == LEAST, "all of them are gone"
                )
                print(f"{tally.done} of {count}", file=sys.stderr, flush=True)
        again = await repeated(supervisor, session)
        restarts = sum(one.restarts for one in supervisor.status().replicas)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; "
        f"{rate:g} requests/s of {SERVICE_SECONDS:g} s (simulated device), {SLOTS} slots a replica,"
        f" {time.monotonic() - began:.0f} s in all"
    )
    return report(tally, recording, again, restarts)


def report(tally: Tally, recording: Recording, again: int, restarts: int) -> int:
    """Print what was found; returns the exit code."""
    failed = int(recording.failed.sum())
    late = float(np.quantile(recording.lag[recording.was_sent], 0.99))
    print(f"scale-ins done    {tally.done}")
    print(f"  of one at work  {tally.busy}")
    print(
        f"requests answered {int(recording.answered.sum())}, sent late by {1000 * late:.0f} ms (p99)"
    )
    print(f"requests failed   {failed}")
    print(f"sent anew         {again}")
    print(f"the idlest left   {tally.judged - len(tally.wrong)} of {tally.judged} that were judged")
    for error, times in Counter(recording.errors()).items():
        print(f"  {times} times: {error}")
    for sentence in tally.wrong:
        print(f"  {sentence}")
    if restarts:
        print(f"  {restarts} replicas died and were started again")
    too_idle = tally.busy < BUSY_SHARE * tally.done
    if too_idle:
        print("  too few of those that left were at work, so this shows little: raise --rate")
    return 1 if failed or again or tally.wrong or restarts or too_idle else 0


def main() -> None:
    """Run and exit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="scale-ins")
    parser.add_argument("--most", type=int, default=8, help="replicas before the first of a round")
    parser.add_argument("--rate", type=float, default=6.5, help="requests a second")
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    wanted = parser.parse_args()
    sys.exit(asyncio.run(run(wanted.count, wanted.most, wanted.rate, wanted.port)))


if __name__ == "__main__":
    main()
