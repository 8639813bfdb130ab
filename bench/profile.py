"""What CPU is spent on, by package: what bounds the figures that are missed.

    python -m bench.profile [--rows 1 64]

py-spy, which the first run installs into the cache, samples the stacks of the replica of a stack under load,
of the load generator, and of an application with telemetry. A sample counts for its innermost frame that is
not of Python's own library; what compiled code takes counts for the frame that calls it. The time of a
package is its share of what the whole takes without py-spy.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final

from bench.engines.bodies import write_bodies
from bench.engines.engine import Task, free_ports, running
from bench.engines.environments import installed
from bench.engines.measures import answers, send
from bench.load_generator import loadgen, trivial_server
from bench.results import FOLDER, Result, result, save
from bench.stack.sides import by_part, ours, spent_by_part

QUIET: Final = subprocess.DEVNULL
PINNED: Final = ("py-spy==0.4.3",)
SAMPLES_PER_SECOND: Final = 100
CONNECTIONS: Final = 8
REQUESTS: Final = {1: 8000, 64: 1500}
RATE, SECONDS = 1500, 8.0
KEPT: Final = "native, 5 % kept"
FIRST_PORT: Final = 26_000
LEAST_SHARE: Final = 0.02
FRAME: Final = re.compile(r"(?P<function>.*) \((?P<file>[^:()]+)(:\d+)?\)")
# A thread that waits, which py-spy does not always see.
WAITING: Final = {("_worker", "thread"), ("wait", "threading"), ("select", "selectors")}
INTERPRETER: Final = "Python's own library"


def package_of(stack: str) -> str:
    """The room of the project, or the library, of the innermost frame that is not Python's own.

    Empty if the thread waits.
    """
    for number, frame in enumerate(reversed(stack.split(";"))):
        if not (found := FRAME.fullmatch(frame)):
            continue
        path, function = Path(found["file"]).with_suffix(""), found["function"].rpartition(".")[2]
        if not number and (function, path.name) in WAITING:
            return ""
        first, *rest = path.parts
        if first == "tidegate":
            return ".".join((first, *rest[:2]))
        if first not in sys.stdlib_module_names and not first.startswith("<"):
            return first
    return INTERPRETER


def py_spy(samples: Path, *what: str) -> list[str]:
    """The command that samples a process."""
    program = str(installed("py-spy", *PINNED) / "py-spy")
    how = (
        *("--nonblocking", "--format", "raw"),
        *("--rate", str(SAMPLES_PER_SECOND), "--output", str(samples)),
    )
    return [program, "record", *how, *what]


def costs(name: str, samples: Path, spent: float, within: str = "") -> list[Result]:
    """What each package takes of so many µs, the most first; the small ones are one row.

    Only samples of stacks with a frame that has this text count.
    """
    counts: Counter[str] = Counter()
    for line in samples.read_text(encoding="utf-8").splitlines():
        stack, _, number = line.rpartition(" ")
        if within in stack:
            counts[package_of(stack)] += int(number)
    del counts[""]
    large = {one: n for one, n in counts.most_common() if n >= LEAST_SHARE * counts.total()}
    large["the rest"] = counts.total() - sum(large.values())
    return [
        result(f"{name}: {one}", [number / counts.total() * spent], unit="µs")
        for one, number in large.items()
    ]


def replica(folder: Path, rows: int) -> list[Result]:
    """A request with so many rows in the replica of a stack."""
    folder.mkdir()
    bodies, samples = write_bodies(folder / "bodies", rows), folder / "samples"
    task = Task(free_ports(FIRST_PORT), folder / "stack", CONNECTIONS)
    with running(ours(), task, lambda one: answers(one, bodies)) as stack:
        request = partial(send, stack, bodies, REQUESTS[rows], CONNECTIONS)
        request()
        spent = spent_by_part(stack, request, REQUESTS[rows])["replica"]
        [pid] = by_part(stack.process.pid)["replica"]
        with subprocess.Popen(
            py_spy(samples, "--pid", str(pid)), stdout=QUIET, stderr=QUIET
        ) as spy:
            request()
            spy.send_signal(signal.SIGINT)
    return costs(f"replica, {rows} row{'s' if rows > 1 else ''}", samples, spent)


def load_generator(folder: Path) -> list[Result]:
    """A request in the load generator."""
    samples = folder / "load-generator"
    with trivial_server() as url:
        idle, _ = loadgen(folder, url, 1, SECONDS)
        spent, summary = loadgen(folder, url, RATE, SECONDS)
        loadgen(folder, url, RATE, SECONDS, py_spy(samples, "--"))
    # Without the start and the report, which are in `idle`, too.
    return costs(
        "load generator", samples, (spent - idle) / summary["sent"] * 1e6, "asyncio/runners.py"
    )


def telemetry(folder: Path) -> list[Result]:
    """A request in an application with telemetry: of what `bench.telemetry` has saved."""
    samples = folder / "telemetry"
    variant = [sys.executable, "-m", "bench.telemetry", "--only", KEPT, "--requests", "8000"]
    subprocess.run(py_spy(samples, "--", *variant), check=True, stdout=QUIET, stderr=QUIET)
    saved = json.loads((FOLDER / "telemetry.json").read_text(encoding="utf-8"))
    spent = {each["name"]: each["ours"] for each in saved}
    return costs("application with telemetry", samples, spent["without it"] + spent[KEPT])


def main() -> None:
    """Profile, print and save."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", choices=REQUESTS, default=[*REQUESTS])
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        found = [each for count in rows for each in replica(folder / str(count), count)]
        found += [*load_generator(folder), *telemetry(folder)]
    save("profile", found)


if __name__ == "__main__":
    main()
