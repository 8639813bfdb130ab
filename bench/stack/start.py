"""What a start takes, and what the autoscaler does a tick, in a stack of `tidegate up`.

    python -m bench.stack.start [--rounds 3]

CPU of a replica from its start until the stack answers a prediction, and the time until then; then the CPU of
a tick of the autoscaler under load, with what it asks Prometheus and the resizer: the difference between a
tick a second and one in five.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from bench.engines.bodies import write_bodies
from bench.engines.catalogue import tidegate
from bench.engines.engine import Task, free_ports, running
from bench.engines.measures import MIB, answers, load
from bench.results import result, save
from bench.stack.sides import SIDES, by_part, cpu_by_part, private_bytes

WARM_UP_SECONDS, LOAD_SECONDS, LOAD_RATE = 5.0, 30.0, 50.0
FIRST_PORT: Final = 26_000
TICK_SECONDS: Final = (1, 5)
PACKAGES: Final = "fastapi, uvicorn, structlog, opentelemetry.sdk.trace, onnxruntime"


def main() -> None:
    """Start, measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    replica, answered, alone, ticks, memory = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        bodies = write_bodies(folder)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            alone.append(import_seconds())
            used = []
            for tick_seconds in TICK_SECONDS:
                task = Task(free_ports(FIRST_PORT), folder / f"{turn}-{tick_seconds}", slots=2)
                own = {"TIDEGATE_AUTOSCALER__TICK_SECONDS": str(tick_seconds)}
                side = replace(SIDES[0], variables=partial(with_settings, own))
                with running(side, task, lambda one: answers(one, bodies)) as stack:
                    replica.append(cpu_by_part(stack)["replica"])
                    answered.append(stack.start_seconds)
                    memory.append(private_bytes(by_part(stack.process.pid)["replica"]) / MIB)
                    load(
                        stack, bodies, [(WARM_UP_SECONDS, LOAD_RATE)]
                    )  # the autoscaler starts last
                    warm, began = cpu_by_part(stack)["autoscaler"], time.monotonic()
                    load(stack, bodies, [(LOAD_SECONDS, LOAD_RATE)])
                    spent = cpu_by_part(stack)["autoscaler"] - warm
                    used.append(spent / (time.monotonic() - began))
            more = 1 / TICK_SECONDS[0] - 1 / TICK_SECONDS[1]
            ticks.append((used[0] - used[1]) / more * 1e3)
    save(
        "start",
        [
            result("replica: start until the first answer", replica, unit="s CPU", target=1.0),
            result(
                "replica: start until the first answer: against importing its packages alone",
                [statistics.mean(pair) for pair in zip(replica[::2], replica[1::2], strict=True)],
                alone,
                unit="s CPU",
            ),
            result("replica: private memory then", memory, unit="MiB", target=110),
            result("`tidegate up` until the first answer", answered, unit="s", target=4.0),
            result("a tick of the autoscaler under load", ticks, unit="ms CPU", target=10.0),
        ],
    )


def with_settings(own: Mapping[str, str], task: Task) -> Mapping[str, str]:
    """The environment of a stack, with these variables."""
    return {**tidegate(task), **own}


def import_seconds() -> float:
    """CPU of a Python that imports the packages of a replica, and nothing of Tidegate."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-P", "-c", f"import {PACKAGES}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
