"""The same model on several serving engines, under the same load.

    python -m bench.engines                  25 minutes
    python -m bench.engines --quick          8 minutes: fewer rounds, no overload
    python -m bench.engines --rounds 3       15 minutes
    python -m bench.engines --rows 64        instead of one
    python -m bench.engines --only Tidegate --only MLServer

All engines run at once, on free ports of loopback (Ray in a network namespace), and take turns in short
rounds, so that a slow phase of the machine affects all of them. CPU per request counts all processes of an
engine (`/proc/PID/task/*/schedstat`), less what they use without requests. CPU hardly depends on what else
the machine does; latencies and start-up times do. Each engine must answer the same probability.

It needs the model (`tidegate train`) and the environments of `scripts/environment`; an engine whose
environment is missing is left out, and named.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

from bench import results
from bench.engines.bodies import Bodies, write_bodies
from bench.engines.catalogue import ENGINES, FLIGHTS
from bench.engines.engine import Engine, EngineError, Running, Task, free_ports, running
from bench.engines.measures import (
    Measured,
    answers,
    measure_capacity,
    measure_cpu,
    measure_latency,
    send,
)
from bench.engines.overload import DEVICE_SECONDS, REPLICAS, seconds_until_kept
from bench.engines.report import OURS, compared, picture, table

SLOTS: Final = 2
WARM_UP: Final = 300
FIRST_PORT: Final = 27_000


class Effort(NamedTuple):
    """How many rounds, requests of an engine in a round, and seconds of a round of latency."""

    rounds: int
    requests: int
    seconds: float


QUICK: Final = Effort(3, 300, 8.0)
WHOLE: Final = Effort(7, 600, 15.0)


def main() -> int:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no overload")
    parser.add_argument("--rounds", type=int, help=f"instead of {WHOLE.rounds}")
    parser.add_argument("--rows", type=int, default=1, help="of a request")
    parser.add_argument("--only", action="append", default=[], help="engines whose name has this")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/img/engines.png"), help="the picture"
    )
    options = parser.parse_args()
    # So that the engines end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not FLIGHTS.is_dir():
        parser.error(f"{FLIGHTS} is missing: run `tidegate train`")
    chosen = [
        each for each in ENGINES if not options.only or any(w in each.name for w in options.only)
    ]
    engines = [each for each in chosen if installed(each)]
    with tempfile.TemporaryDirectory(prefix="tidegate-engines-") as name:
        folder = Path(name)
        bodies = write_bodies(folder, options.rows)
        effort = QUICK if options.quick else WHOLE
        if options.rounds:
            effort = effort._replace(rounds=options.rounds)
        found = side_by_side(engines, folder, bodies, effort)
        picture(options.out, found)
        if not options.quick:
            print(table(found, SLOTS), flush=True)  # the overloads take minutes
            overloads(engines, folder, bodies, found)
    print(table(found, SLOTS))
    if OURS in found and not options.only:
        results.save(f"engines_{options.rows}", compared(found, options.rows))
    return 0


def installed(engine: Engine) -> bool:
    """Whether the program of an engine is there; says so if it is not."""
    program = Path(engine.command(Task(FIRST_PORT, Path(tempfile.mkdtemp()), SLOTS))[0])
    if not program.exists():
        print(f"{engine.name} is left out: {program} is not installed", file=sys.stderr)
    return program.exists()


def side_by_side(
    engines: list[Engine], folder: Path, bodies: Bodies, effort: Effort
) -> dict[str, Measured]:
    """Run all engines, and measure them in turns."""
    found = {each.name: Measured() for each in engines}
    with ExitStack() as stack:
        started: list[Running] = []
        port = FIRST_PORT
        # Ray first: it gives its own processes 30 s to start, which a busy machine may not do.
        for number, engine in enumerate(sorted(engines, key=lambda each: not each.namespace)):
            port = free_ports(port)
            task = Task(port, folder / str(number), SLOTS)
            port += 20
            try:
                one = stack.enter_context(running(engine, task, lambda r: answers(r, bodies)))
            except EngineError as error:
                print(f"{engine.name} is left out: {error}", file=sys.stderr, flush=True)
                del found[engine.name]
                continue
            started.append(one)
            found[engine.name].start.append(one.start_seconds)
        for each in started:
            send(each, bodies, WARM_UP, SLOTS)
        for turn in range(effort.rounds):
            print(f"round {turn + 1} of {effort.rounds}: CPU", file=sys.stderr, flush=True)
            for each in started[:: 1 if turn % 2 else -1]:
                measure_cpu(each, bodies, effort.requests, found[each.engine.name])
                measure_capacity(each, bodies, effort.requests, found[each.engine.name])
        half = {name: statistics.median(each.capacity) / 2 for name, each in found.items()}
        for turn in range(max(2, effort.rounds // 2)):
            print(f"round {turn + 1}: latency at half of the capacity", file=sys.stderr, flush=True)
            for each in started[:: 1 if turn % 2 else -1]:
                name = each.engine.name
                measure_latency(each, bodies, half[name], effort.seconds, found[name])
    return found


def overloads(
    engines: list[Engine], folder: Path, bodies: Bodies, found: dict[str, Measured]
) -> None:
    """One engine that scales after the other, alone on the machine, under an overload."""
    for number, engine in enumerate(engines):
        if not engine.scales or engine.name not in found:
            continue
        print(f"overload of {engine.name}", file=sys.stderr, flush=True)
        # A short name: the path of a socket has at most 107 bytes.
        own = folder / f"overload-{number}"
        task = Task(free_ports(FIRST_PORT), own, SLOTS, REPLICAS, DEVICE_SECONDS)
        try:
            with running(engine, task, lambda r: answers(r, bodies)) as started:
                found[engine.name].objective.append(seconds_until_kept(started, bodies))
        except EngineError as error:
            print(f"{engine.name} is left out: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
