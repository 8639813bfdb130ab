"""What the collector does to the latency of requests: p99 at half of one's own capacity, in turns.

    python -m bench.tail                 5 minutes; as root, since it also runs the collector at nice 0
    python -m bench.tail --alone         2 minutes: without MLServer and Ray

A turn is the same open loop with the collector as it is, at the priority of all others, and stopped; then
MLServer and Ray, each at half of what it answers (`bench.engines`), and this at the rate of each.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil

from bench.engines.__main__ import FIRST_PORT, SLOTS, WARM_UP, installed
from bench.engines.bodies import Bodies, write_bodies
from bench.engines.catalogue import ENGINES
from bench.engines.engine import Running, Task, free_ports, running
from bench.engines.measures import Measured, answers, measure_capacity, measure_latency, send
from bench.engines.report import OURS, spread
from tidegate.collector.run import NICE

PEERS = ("MLServer 1.7.1", "Ray Serve 2.60, HAProxy")
REQUESTS = 600
SETTLE_SECONDS = 1.0


def at_nice(collector: psutil.Process, nice: int) -> None:
    """Change the priority of all threads of the collector."""
    for thread in collector.threads():
        os.setpriority(os.PRIO_PROCESS, thread.id, nice)


def collector_of(stack: Running) -> psutil.Process:
    """The collector's process."""
    return next(
        process
        for process in map(psutil.Process, stack.pids())
        if process.cmdline()[-2:] == ["tidegate", "collector"]
    )


def measure(started: list[Running], bodies: Bodies, rounds: int, seconds: float) -> None:
    """Measure in turns, and print the medians."""
    rates, found = dict[str, float](), dict[str, Measured]()
    for engine in started:
        send(engine, bodies, WARM_UP, SLOTS)
        capacity = Measured()
        for _ in range(3):
            measure_capacity(engine, bodies, REQUESTS, capacity)
        rates[engine.engine.name] = statistics.median(capacity.capacity) / 2
    ours, *peers = started
    collector = collector_of(ours)
    states: dict[str, Callable[[], None]] = {
        f"collector at nice {NICE}, as it runs": lambda: at_nice(collector, NICE),
        "collector at nice 0": lambda: at_nice(collector, 0),
        "collector stopped": lambda: collector.send_signal(signal.SIGSTOP),
    }

    def latency(engine: Running, title: str, rate: float) -> None:
        rates[title] = rate
        measure_latency(engine, bodies, rate, seconds, found.setdefault(title, Measured()))

    for turn in range(rounds):
        print(f"turn {turn + 1} of {rounds}", file=sys.stderr, flush=True)
        for title in [*states][:: -1 if turn % 2 else 1]:
            states[title]()
            time.sleep(SETTLE_SECONDS)
            latency(ours, title, rates[OURS])
            collector.send_signal(signal.SIGCONT)
            at_nice(collector, NICE)
            time.sleep(SETTLE_SECONDS)  # it delivers what waited
        for peer in peers:
            name = peer.engine.name
            latency(peer, name, rates[name])
            latency(ours, f"{OURS} at the rate of {name}", rates[name])
    first, *_ = [statistics.median(each.p99) for each in found.values()]
    for title, each in found.items():
        rate = rates[title]
        p50, p99 = ([1e3 * value for value in values] for values in (each.p50, each.p99))
        ratio = first / statistics.median(each.p99)
        print(
            f"{title}: {rate:.0f}/s, p50 {spread(p50, 'ms')}, p99 {spread(p99, 'ms')}; {ratio:.2f}"
        )


def main() -> None:
    """Start the engines, and measure."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--rounds", type=int, default=4)
    options.add_argument("--seconds", type=float, default=6.0, help="of a measurement")
    options.add_argument("--alone", action="store_true", help="without MLServer and Ray")
    arguments = options.parse_args()
    wanted = (OURS, *(() if arguments.alone else PEERS))
    engines = [each for each in ENGINES if each.name in wanted and installed(each)]
    with tempfile.TemporaryDirectory(prefix="tidegate-tail-") as name, ExitStack() as stack:
        bodies = write_bodies(Path(name))
        started, port = [], FIRST_PORT
        for number, engine in enumerate(engines):
            task = Task(free_ports(port), Path(name) / str(number), SLOTS)
            port = task.port + 20
            ready: Callable[[Running], bool] = lambda each: answers(each, bodies)  # noqa: E731
            started.append(stack.enter_context(running(engine, task, ready)))
        measure(started, bodies, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
