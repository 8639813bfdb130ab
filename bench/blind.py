"""No metrics for ten minutes, live and under load: is a replica removed?

The autoscaler of a stack reads Prometheus through a proxy that injects faults. A high load adds replicas;
then the load falls, and once Prometheus shows it, before any replica is removed, the fault begins: Prometheus
is `gone` (connections are closed), or each value is `nan`, or `frozen` (the last values, with current times).
Meanwhile no replica may be removed. After the fault, replicas must be removed: there were too many.

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

from bench.running.faulty_prometheus import Fault, FaultyPrometheus, autoscaler  # noqa: E402
from bench.running.stack import constant_load, free_ports, own_stack, until  # noqa: E402
from tidegate.loadgen.plan.scenario import Weights  # noqa: E402
from tidegate.stack.supervisor.supervisor import Supervisor  # noqa: E402

DEVICE_SECONDS: Final = 0.4
HIGH, LOW = 12.0, 2.0
# The high load needs at least this many replicas: 12/s of 0.4 s are 4.8 slots of work, with 2 slots each.
MIN_REPLICAS: Final = 3
# The rates at which the load counts as risen, and as fallen.
RISEN, FALLEN = 0.85 * HIGH, 0.5 * HIGH
SETTLE_SECONDS: Final = 300.0
LIGHT: Final = Weights(light=1)


async def main() -> int:
    """Run and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="the duration of each fault")
    parser.add_argument("--kinds", nargs="+", choices=get_args(Fault), default=get_args(Fault))
    parser.add_argument("--policy", default="sloq", help="the policy expression")
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    arguments = parser.parse_args()
    port = arguments.port or free_ports()
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} cores; {arguments.policy},"
        f" {arguments.minutes:g} minutes each"
    )
    bad = 0
    async with (
        # The stack's own autoscaler would read Prometheus directly.
        own_stack(
            port,
            autoscaler={"enabled": False, "policy": arguments.policy},
            device={"light_seconds": DEVICE_SECONDS},
            slo={"latency_seconds": 1.0},
        ) as supervisor,
        FaultyPrometheus(f"http://127.0.0.1:{port + 2}", port + 15) as prometheus,
        autoscaler(supervisor.settings, prometheus.url),
    ):
        for kind in arguments.kinds:
            bad += await run_fault(supervisor, prometheus, kind, 60 * arguments.minutes)
    return 1 if bad else 0


async def run_fault(
    supervisor: Supervisor, prometheus: FaultyPrometheus, kind: Fault, seconds: float
) -> bool:
    """Inject one fault; returns whether a check failed."""
    url = f"http://127.0.0.1:{supervisor.settings.gateway.port}"
    async with constant_load(url, HIGH, LIGHT) as high:
        await until(
            lambda: prometheus.arrival_rate > RISEN and supervisor.status().ready >= MIN_REPLICAS,
            "replicas are added",
            SETTLE_SECONDS,
        )
    async with constant_load(url, LOW, LIGHT) as low:
        await until(lambda: prometheus.arrival_rate < FALLEN, "Prometheus shows the lower load")
        before = supervisor.status().ready
        prometheus.kind = kind
        fewest, began, queries = before, time.monotonic(), prometheus.queries
        while time.monotonic() - began < seconds:
            fewest = min(fewest, supervisor.status().desired)
            await asyncio.sleep(0.2)
        queries = prometheus.queries - queries
        prometheus.kind = None
        took = await until(
            lambda: supervisor.status().desired < fewest, "replicas are removed", SETTLE_SECONDS
        )
    failed = int(high.failed.sum() + low.failed.sum())
    print(
        f"{kind:<6} {before} replicas, never fewer than {fewest} in {seconds:.0f} s and {queries} queries;"
        f" with metrics the first was removed after {took:.0f} s; {failed} of"
        f" {int(high.was_sent.sum() + low.was_sent.sum())} requests failed",
        flush=True,
    )
    return fewest < before or failed > 0 or not queries


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
