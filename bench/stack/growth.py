"""What a request costs beside its rows, the connections, the rate and the replicas; with the exponents.

    python -m bench.stack.growth [--rounds 3]

A stack of `tidegate up` for each number of replicas; CPU is that of all its processes, without what they use
at rest. An exponent is the slope of a line through the logarithms, by least squares: 0 means that a request
costs the same at any size. The plots also show what an event costs beside the stored events, from
`bench/results/stored_events.json` (`python -m bench.console`).
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, StrMethodFormatter

from bench.engines.bodies import Bodies, write_bodies
from bench.engines.engine import START_SECONDS, Running, Task, free_ports, running
from bench.engines.measures import answers, load, send
from bench.results import FOLDER, result, save
from bench.stack.sides import by_part, ours, spent_by_part

ROWS: Final = (1, 4, 16, 64, 256)
CONNECTIONS: Final = (1, 2, 4, 8, 16, 32)
RATES: Final = (50, 100, 200, 400)
REPLICAS: Final = (1, 2, 4, 8)
REQUESTS: Final = 1500
RATE_SECONDS: Final = 8.0
SETTLE_SECONDS: Final = 5.0
FIRST_PORT: Final = 26_000
UNITS: Final = {
    "stored events": "µs of CPU an event",
    "a search over stored events": "ms",
}


Costs = dict[str, dict[int, list[float]]]
"""By axis and size, the µs of CPU of a request, or of an event; a value a round."""


class Case(NamedTuple):
    """One size of one axis: what sends its requests, and how many these are."""

    axis: str
    size: int
    send: Callable[[], object]
    requests: int


def main() -> None:
    """Measure, print, draw and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("docs/img/growth.png"))
    options = parser.parse_args()
    found: Costs = {}
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        bodies = {rows: write_bodies(folder / str(rows), rows) for rows in ROWS}
        with stack_of(1, folder, bodies[1]) as stack:
            measure(stack, cases(stack, bodies), options.rounds, found)
        for replicas in REPLICAS:
            with stack_of(replicas, folder, bodies[1]) as stack:
                request = partial(send, stack, bodies[1], REQUESTS, CONNECTIONS[-1])
                case = Case("replicas", replicas, request, REQUESTS)
                measure(stack, [case], options.rounds, found)
    results = [
        result(f"{axis}: {size:,}", costs, unit="µs/request")
        for axis, sizes in found.items()
        for size, costs in sizes.items()
    ]
    slopes = {axis: exponents(sizes) for axis, sizes in found.items()}
    results += [result(f"{axis}: exponent", each, unit="") for axis, each in slopes.items()]
    save("growth", results)
    picture(options.out, {**found, **stored_events()})


def cases(stack: Running, bodies: dict[int, Bodies]) -> list[Case]:
    """The sizes that one stack can show."""

    def closed(rows: int, connections: int, requests: int) -> Callable[[], object]:
        return partial(send, stack, bodies[rows], requests, connections)

    few = {rows: max(100, REQUESTS // rows) for rows in ROWS}
    return [
        *(Case("rows", rows, closed(rows, 8, few[rows]), few[rows]) for rows in ROWS),
        *(Case("connections", each, closed(1, each, REQUESTS), REQUESTS) for each in CONNECTIONS),
        *(
            Case(
                "requests a second",
                rate,
                partial(load, stack, bodies[1], [(RATE_SECONDS, rate)]),
                int(rate * RATE_SECONDS),
            )
            for rate in RATES
        ),
    ]


@contextmanager
def stack_of(replicas: int, folder: Path, bodies: Bodies) -> Iterator[Running]:
    """A stack of `tidegate up` with this number of replicas, of which all are warm."""
    task = Task(free_ports(FIRST_PORT), folder / f"of{replicas}", slots=8, replicas=replicas)
    fixed = str(replicas)
    side = ours(TIDEGATE_REPLICAS__MIN=fixed, TIDEGATE_REPLICAS__START=fixed)
    with running(side, task, lambda one: answers(one, bodies)) as stack:
        until = time.monotonic() + START_SECONDS
        while len(by_part(stack.process.pid)["replica"]) < replicas:
            if time.monotonic() > until:
                raise SystemExit(f"{replicas} replicas did not start within {START_SECONDS} s")
            time.sleep(0.1)
        send(stack, bodies, 400 * replicas, CONNECTIONS[-1])
        time.sleep(
            SETTLE_SECONDS
        )  # what starts last would be taken for what the stack uses at rest
        yield stack


def measure(stack: Running, cases: Sequence[Case], rounds: int, found: Costs) -> None:
    """Send each case in turns, and add what it costs."""
    for turn in range(rounds):
        for case in cases[:: -1 if turn % 2 else 1]:
            print(f"{case.axis}: {case.size}, {turn + 1} of {rounds}", file=sys.stderr, flush=True)
            spent = spent_by_part(stack, case.send, case.requests)
            found.setdefault(case.axis, {}).setdefault(case.size, []).append(sum(spent.values()))


def exponents(sizes: dict[int, list[float]]) -> list[float]:
    """The slope of a line through the logarithms, by least squares; of each round."""
    logarithms = np.log([*sizes])
    return [
        float(np.polyfit(logarithms, np.log(each), 1)[0])
        for each in zip(*sizes.values(), strict=True)
    ]


def stored_events() -> Costs:
    """What an event costs, and a search, beside how many are stored."""
    path = FOLDER / "stored_events.json"
    found: Costs = {}
    for each in json.loads(path.read_text("utf-8")) if path.exists() else []:
        axis, _, size = each["name"].rpartition(": ")
        if size.replace(",", "").isdigit():
            found.setdefault(axis, {})[int(size.replace(",", ""))] = [each["ours"]]
    return found


def picture(path: Path, found: Costs) -> None:
    """A plot for each axis, both of its scales logarithmic."""
    columns = 3
    figure = Figure(figsize=(11, 3 * math.ceil(len(found) / columns)), layout="constrained")
    for number, (axis, sizes) in enumerate(found.items(), 1):
        axes = figure.add_subplot(math.ceil(len(found) / columns), columns, number)
        middle = [statistics.median(costs) for costs in sizes.values()]
        slope = np.polyfit(np.log([*sizes]), np.log(middle), 1)[0]
        for size, costs in sizes.items():
            axes.plot([size] * len(costs), costs, ".", color="#a9d6e5")
        axes.plot([*sizes], middle, "o-", color="#2a6f97")
        axes.set(xscale="log", yscale="log", xlabel=axis, title=f"exponent {slope:.2f}")
        axes.set_ylim(min(middle) / 2, max(middle) * 2)
        axes.set_xticks([*sizes], [EngFormatter(sep="")(size) for size in sizes])
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.minorticks_off()
        axes.set_ylabel(UNITS.get(axis, "µs of CPU a request"))
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
