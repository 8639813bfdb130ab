"""Runs seeds of the control loop's simulation, or replays one.

Examples:
  python -m tests.simulation.loop --seeds 10000 --jobs 2
  python -m tests.simulation.loop --seed 4711
  python -m tests.simulation.loop --seed 4711 --keep 0,3
  python -m tests.simulation.loop --seed 12 --defect removes-without-a-metric
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from .defects import DEFECTS, defect
from .run import Result, kept, run, shrink, simulated
from .schedule import Schedule, draw

CHUNK = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if an invariant does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.loop",
        description=(__doc__ or "").partition("\n\n")[0],
        epilog=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=500, help="how many (500)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--seed", type=int, help="replay this one, and print its trace")
    parser.add_argument("--keep", help="with --seed: only its faults with these numbers")
    parser.add_argument("--defect", default="", choices=["", *DEFECTS], help="put this defect in")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _replay(chosen.seed, chosen.keep, chosen.defect)
    return _run_all(chosen.first, chosen.seeds, chosen.jobs, chosen.defect)


def _replay(seed: int, keep: str | None, name: str) -> int:
    schedule = draw(seed)
    if keep is not None:
        schedule = kept(schedule, [int(number) for number in keep.split(",") if number])
    with simulated(), defect(name):
        result = run(schedule)
    print("\n".join(result.trace))
    print(schedule.setup)
    return _report(result, schedule, name)


def _report(result: Result, shortest: Schedule, name: str) -> int:
    if not result.invariant:
        return 0
    print(f"seed {result.schedule.seed}: not kept: {result.invariant}: {result.problem}")
    print(*(f"  {fault}" for fault in shortest.faults), sep="\n")
    numbers = [str(result.schedule.faults.index(fault)) for fault in shortest.faults]
    kept_ones = f" --keep {','.join(numbers)}" if len(numbers) < len(result.schedule.faults) else ""
    with_defect = f" --defect {name}" if name else ""
    print(
        "  again: python -m tests.simulation.loop"
        f" --seed {result.schedule.seed}{kept_ones}{with_defect}",
        flush=True,
    )
    return 1


def _run_all(first: int, count: int, jobs: int, name: str) -> int:
    began, done, failed = time.monotonic(), 0, 0
    chunks = [
        range(at, min(at + CHUNK, first + count)) for at in range(first, first + count, CHUNK)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        for results in pool.map(partial(run_seeds, name=name), chunks):
            done += CHUNK
            for result, shortest in results:
                failed += _report(result, shortest, name)
            if sys.stderr.isatty() or done % 1000 == 0:
                rate = done / (time.monotonic() - began)
                sys.stderr.write(f"{done} seeds, {failed} fail, {rate:.1f} a second\n")
    print(f"{count} seeds in {time.monotonic() - began:.0f} s: {failed} fail")
    return 1 if failed else 0


def run_seeds(seeds: range, name: str = "") -> list[tuple[Result, Schedule]]:
    """Run these, and return those that fail with their shortest schedules."""
    with simulated(), defect(name):
        results = [result for seed in seeds if (result := run(draw(seed))).invariant]
        return [(result, shrink(result.schedule, result.invariant)) for result in results]


if __name__ == "__main__":
    raise SystemExit(main())
