"""CPU of a request in the whole stack, by part, beside a plain handler and the usual three packages.

    python -m bench.stack                       eight minutes; `make bench-stack`
    python -m bench.stack --rounds 3 --rows 1   two minutes

All sides run at once on loopback and take turns in short rounds, so that a slow phase of the machine affects
all of them: the stack of `tidegate up` with its defaults and one replica; a FastAPI handler with Pydantic and
ONNX Runtime and no observability, behind HAProxy with one line of configuration; and the same handler with
OpenTelemetry's instrumentation, metrics by prometheus_client and an access log by structlog, once with as
many traces as the stack keeps (5 %), once with all, as these packages are shipped. A bare ASGI
callable with the same model bounds what a replica in Python can take. CPU is that of all threads
(`/proc/PID/task/*/schedstat`) without what the same process uses at rest. The store takes the events within
the round.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure

from bench.engines.bodies import Bodies, write_bodies
from bench.engines.catalogue import FLIGHTS
from bench.engines.engine import Running, Task, free_ports, running
from bench.engines.measures import MIB, answers, send
from bench.results import Result, result, save
from bench.stack.sides import (
    BARE,
    OURS,
    PARTS,
    PLAIN,
    SHIPPED,
    SIDES,
    SUPERVISOR,
    USUAL,
    by_part,
    private_bytes,
    spent_by_part,
)

CONNECTIONS: Final = 8
REQUESTS: Final = {1: 2000, 64: 400}
WARM_UP: Final = 400
FIRST_PORT: Final = 26_000
Rounds = dict[str, list[dict[str, float]]]
"""By side, for each round the µs of a request by part."""


def main() -> None:
    """Measure, print, draw and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, action="append", choices=[*REQUESTS])
    parser.add_argument("--out", type=Path, default=Path("docs/img/stack-cost.png"))
    options = parser.parse_args()
    # So that the sides end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not FLIGHTS.is_dir():
        parser.error(f"{FLIGHTS} is missing: run `tidegate train`")
    rows = options.rows or [*REQUESTS]
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        bodies = {count: write_bodies(folder / str(count), count) for count in rows}
        started: list[Running] = []
        port = FIRST_PORT
        for number, side in enumerate(SIDES):
            port = free_ports(port)
            task = Task(port, folder / f"side{number}", CONNECTIONS)
            first = bodies[rows[0]]
            ready = lambda one, first=first: answers(one, first)  # noqa: E731
            started.append(stack.enter_context(running(side, task, ready)))
            port += 20
        found = {count: measure(started, bodies[count], count, options.rounds) for count in rows}
        replica = by_part(started[0].process.pid)["replica"]
        memory = [private_bytes(replica) / MIB]
    for count, rounds in found.items():
        print(parts_table(count, rounds), end="\n\n", flush=True)
    results = [each for count in rows for each in compared(count, found[count])]
    results.append(result("replica: private memory after it", memory, unit="MiB", target=110))
    whole = set(rows) == {*REQUESTS}
    if whole:
        picture(options.out, found)
    save("stack", results, whole=whole)


def measure(sides: list[Running], bodies: Bodies, rows: int, rounds: int) -> Rounds:
    """Send the same requests to each side in turns."""
    found: Rounds = {each.engine.name: [] for each in sides}
    for each in sides:
        send(each, bodies, WARM_UP, CONNECTIONS)
    for turn in range(rounds):
        print(f"{rows} rows: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
        for each in sides[:: 1 if turn % 2 else -1]:
            request = partial(send, each, bodies, REQUESTS[rows], CONNECTIONS)
            spent = spent_by_part(each, request, REQUESTS[rows])
            found[each.engine.name].append(spent)
    return found


def compared(rows: int, rounds: Rounds) -> list[Result]:
    """The stack, its replica and its gateway beside those of the other sides."""
    of = f"{rows} row{'s' if rows > 1 else ''}"
    total = {side: [sum(each.values()) for each in found] for side, found in rounds.items()}
    part = {
        name: {side: [each[name] for each in found] for side, found in rounds.items()}
        for name in ("replica", "gateway")
    }
    one = rows == 1
    unit = "µs/request"
    return [
        result(
            f"{what}, {of}: against {name} behind HAProxy"
            if what == "whole stack"
            else f"{what}, {of}: against {name}",
            values[OURS],
            values[side],
            unit=unit,
            target=target,
        )
        for what, values, side, name, target in (
            ("whole stack", total, PLAIN, "a plain handler", 1.5 if one else None),
            (
                "whole stack",
                total,
                USUAL,
                "the usual packages (5 % of traces)",
                0.5 if one else None,
            ),
            ("whole stack", total, SHIPPED, "the usual packages (all traces)", None),
            ("replica", part["replica"], PLAIN, "a plain handler", 0.75),
            ("replica", part["replica"], BARE, "a bare ASGI callable, which bounds it", None),
            ("gateway", part["gateway"], PLAIN, "HAProxy with one line", 1.5 if one else None),
        )
    ]


def medians(rounds: Rounds) -> dict[str, dict[str, float]]:
    """By side, the median µs of each part."""
    return {
        side: {part: statistics.median(each[part] for each in found) for part in found[0]}
        for side, found in rounds.items()
    }


def parts_table(rows: int, rounds: Rounds) -> str:
    """µs of a request by part, in Markdown."""
    found = medians(rounds)
    lines = [
        f"| CPU of a request of {rows} rows, µs | {' | '.join(found)} |",
        f"| --- |{' ---: |' * len(found)}",
    ]
    for part in (*PARTS, SUPERVISOR):
        if part in found[OURS]:
            cells = [f"{each[part]:,.0f}" if part in each else "" for each in found.values()]
            lines.append(f"| {part} | {' | '.join(cells)} |")
    sums = [f"{statistics.median(sum(r.values()) for r in each):,.0f}" for each in rounds.values()]
    return "\n".join([*lines, f"| all | {' | '.join(sums)} |"])


def picture(path: Path, found: dict[int, Rounds]) -> None:
    """The sides as bars of their parts, one plot for each number of rows."""
    figure = Figure(figsize=(9, 2.4 * len(found)), layout="constrained")
    for number, (rows, rounds) in enumerate(found.items(), 1):
        axes = figure.add_subplot(len(found), 1, number)
        sides = medians(rounds)
        names = [*sides][::-1]
        left = [0.0] * len(names)
        for part in (*PARTS, SUPERVISOR):
            widths = [max(0.0, sides[name].get(part, 0.0)) for name in names]
            if any(widths):
                axes.barh(names, widths, left=left, label=part)
                left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set(xlabel=f"µs of CPU of a request with {rows} rows")
        axes.legend(fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
