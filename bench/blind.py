"""No metrics for ten minutes, live and under load: does a replica leave?

A stack whose autoscaler reads Prometheus through a veil. A high load brings replicas; then the load falls,
and as soon as Prometheus says so, before any replica has left, the veil falls too: Prometheus is `gone`
(connections are closed), or each value is `nan`, or `frozen` (the last values, with fresh times). For so
long no replica may leave. Then the veil is lifted, and replicas must leave: they were too many all along.

    python bench/blind.py --minutes 10
    python bench/blind.py --minutes 0.5 --kinds nan --policy sloq:down_seconds=20
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, get_args

sys.path[0] = str(Path(__file__).parents[1])  # or bench/loadgen.py would hide the package

from bench.running.faulty import Fault, FaultyPrometheus, autoscaler  # noqa: E402

from bench.running.stack import constant_load, free_ports, own_stack, until  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.stack.supervisor.supervisor import Supervisor  # noqa: E402

DEVICE_SECONDS: Final = 0.4
HIGH, LOW = 12.0, 2.0
# The policy wants this many at least at the high load: 12/s of 0.4 s are 4.8 slots of work, of 2 each.
WANTED: Final = 3
# The rates that say that the load has risen, and fallen.
RISEN, FALLEN = 0.85 * HIGH, 0.5 * HIGH
SETTLE_SECONDS: Final = 300.0
LIGHT: Final = Weights(light=1)


async def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, of each kind")
    parser.add_argument("--kinds", nargs="+", choices=get_args(Fault), default=get_args(Fault))
    parser.add_argument("--policy", default="sloq", help="what decides")
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    wanted = parser.parse_args()
    port = wanted.port or free_ports()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; {wanted.policy},"
        f" {wanted.minutes:g} minutes each"
    )
    bad = 0
    async with (
        # Its own autoscaler would read Prometheus itself.
        own_stack(
            port,
            autoscaler={"enabled": False, "policy": wanted.policy},
            device={"light_seconds": DEVICE_SECONDS},
            slo={"latency_seconds": 1.0},
        ) as supervisor,
        FaultyPrometheus(f"http://127.0.0.1:{port + 2}", port + 15) as faulty,
        autoscaler(supervisor.settings, faulty.url),
    ):
        for kind in wanted.kinds:
            bad += await one(supervisor, faulty, kind, 60 * wanted.minutes)
    return 1 if bad else 0


async def one(
    supervisor: Supervisor, faulty: FaultyPrometheus, kind: Fault, seconds: float
) -> bool:
    """Let the veil fall once; returns whether something was wrong."""
    url = f"http://127.0.0.1:{supervisor.settings.gateway.port}"
    async with constant_load(url, HIGH, LIGHT) as high:
        await until(
            lambda: faulty.arrival_rate > RISEN and supervisor.status().ready >= WANTED,
            "replicas come",
            SETTLE_SECONDS,
        )
    async with constant_load(url, LOW, LIGHT) as low:
        await until(lambda: faulty.arrival_rate < FALLEN, "the lower load is seen")
        before = supervisor.status().ready
        faulty.kind = kind
        fewest, began, asked = before, time.monotonic(), faulty.asked
        while time.monotonic() - began < seconds:
            fewest = min(fewest, supervisor.status().desired)
            await asyncio.sleep(0.2)
        asked = faulty.asked - asked
        faulty.kind = None
        took = await until(
            lambda: supervisor.status().desired < fewest, "replicas leave", SETTLE_SECONDS
        )
    failed = int(high.failed.sum() + low.failed.sum())
    print(
        f"{kind:<6} {before} replicas, never fewer than {fewest} in {seconds:.0f} s and {asked} looks;"
        f" with metrics the first left after {took:.0f} s; {failed} of"
        f" {int(high.was_sent.sum() + low.was_sent.sum())} requests failed",
        flush=True,
    )
    return fewest < before or failed > 0 or not asked


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
