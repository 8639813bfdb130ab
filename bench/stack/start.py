"""What a start takes, and what the autoscaler does a tick, in a stack of `tidegate up`.

    python -m bench.stack.start [--rounds 3]
    python -m bench.stack.start --phases

CPU of a replica from its start until the stack answers a prediction, and the time until then; then the CPU of
a tick of the autoscaler under load, with what it asks Prometheus and the resizer: the difference between a
tick a second and one in five. `--phases` prints what a replica's CPU goes to, and saves nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Final

from bench.engines.bodies import write_bodies
from bench.engines.catalogue import tidegate
from bench.engines.cpu import command_cpu_seconds
from bench.engines.engine import Task, free_ports, running
from bench.engines.measures import MIB, answers, load
from bench.results import result, save
from bench.stack.sides import by_part, cpu_by_part, ours, private_bytes

WARM_UP_SECONDS, LOAD_SECONDS, LOAD_RATE = 5.0, 30.0, 50.0
FIRST_PORT: Final = 26_000
TICK_SECONDS: Final = (1, 5)
PACKAGES: Final = {
    "Pydantic": "pydantic.main, pydantic._internal._generate_schema",
    "FastAPI, uvicorn": "fastapi, uvicorn",
    "structlog, Prometheus' client": "structlog, prometheus_client",
    "OpenTelemetry": "opentelemetry.sdk.trace.export, opentelemetry.instrumentation.asgi",
    "NumPy, ONNX Runtime": "numpy, onnxruntime",
}
IMPORTS: Final = f"import {', '.join(PACKAGES.values())}"
# As in `tidegate.service.__main__`.
UNUSED: Final = "sys.modules.update(dict.fromkeys(('psutil', 'rich', 'watchfiles'))); gc.disable()"
PHASES: Final = {
    "Python": f"import gc, sys, time; {UNUSED}",
    **{f"import of {names}": f"import {modules}" for names, modules in PACKAGES.items()},
    "import of Tidegate's own modules": "import tidegate.service.__main__ as own, tidegate.serving.server",
    "settings, telemetry, routes": "app = own.create_app(own.load())",
    "the model: digests, session, first predictions": "import asyncio; asyncio.run(app.state.service.load())",
}
PHASE_ROUNDS: Final = 11


def main() -> None:
    """Start, measure, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--phases", action="store_true", help="a replica's CPU by phase, alone")
    options = parser.parse_args()
    _compile()
    if options.phases:
        _print_phases()
        return
    rounds = options.rounds
    replica, answered, alone, ticks, memory = [], [], [], [], []
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        bodies = write_bodies(folder)
        for turn in range(rounds):
            print(f"round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            seconds, shown = command_cpu_seconds([sys.executable, "-P", "-c", IMPORTS])
            if "Error" in shown:
                raise SystemExit(shown)
            alone.append(seconds)
            used = []
            for tick_seconds in TICK_SECONDS:
                task = Task(free_ports(FIRST_PORT), folder / f"{turn}-{tick_seconds}", slots=2)
                side = ours(TIDEGATE_AUTOSCALER__TICK_SECONDS=str(tick_seconds))
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


def _compile() -> None:
    """Start once, so that there is bytecode of all that a start imports: pip writes it, uv does not."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    _phases()


def _phases() -> list[float]:
    """The CPU of each phase of a replica's start, without a server."""
    program = "\n".join(f"{code}\nprint(time.process_time())" for code in PHASES.values())
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        variables = tidegate(Task(FIRST_PORT, Path(name), slots=2))
        _, shown = command_cpu_seconds([sys.executable, "-P", "-c", program], **variables)
    return [after - before for before, after in pairwise([0.0, *map(float, shown.split())])]


def _print_phases() -> None:
    """Print the CPU that each phase of a replica's start takes: medians of starts without a server."""
    found = [_phases() for _ in range(PHASE_ROUNDS)]
    print("| phase | s CPU |\n| --- | ---: |")
    for phase, seconds in zip(PHASES, zip(*found, strict=True), strict=True):
        print(f"| {phase} | {statistics.median(seconds):.3f} |")
    print(f"| together | {statistics.median(map(sum, found)):.3f} |")


if __name__ == "__main__":
    main()
