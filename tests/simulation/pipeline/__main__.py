"""Runs seeds of the simulation of the event pipeline.

python -m tests.simulation.pipeline --seeds 100000 --jobs 2    the first hundred thousand
python -m tests.simulation.pipeline --first 5000 --seeds 1000  a thousand, from 5000
python -m tests.simulation.pipeline --seed 4711                one, with its shortest failing schedule
python -m tests.simulation.pipeline --seed 4711 --trace        and with each call of the system
python -m tests.simulation.pipeline --defects                  the first seed that finds each known defect
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from ..world.machine import ViolationError
from .defects import DEFECTS, built_in
from .schedule import draw
from .seeds import Failure, first_failure, try_seed
from .simulation import Simulation

CHUNK = 500


def _run_chunk(first: int, last: int) -> list[Failure]:
    return [failure for seed in range(first, last) if (failure := try_seed(seed))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a seed fails."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.pipeline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--trace", action="store_true", help="print each call of the system")
    parser.add_argument("--defects", action="store_true", help="look for each known defect")
    options = parser.parse_args(arguments)
    if options.defects:
        return _defects(options.first, options.seeds)
    if options.seed is not None:
        return _one(options.seed, traced=options.trace)
    return _many(options.first, options.seeds, options.jobs)


def _one(seed: int, *, traced: bool) -> int:
    if traced:
        simulation = Simulation(draw(seed), traced=True)
        try:
            simulation.run()
        except ViolationError as broken:
            print(f"seed {seed}: {broken}", file=sys.stderr)
        print("\n".join(simulation.machine.trace or ()))
    failure = try_seed(seed)
    print(failure or f"seed {seed} holds")
    return int(failure is not None)


def _defects(first: int, seeds: int) -> int:
    missed = 0
    for name in DEFECTS:
        with built_in(name):
            found = first_failure(range(first, first + seeds), shortest=False)
        missed += found is None
        print(f"{found.seed if found else 'none':>6} {name}: {found.reason[:90] if found else ''}")
    return int(missed > 0)


def _many(first: int, seeds: int, jobs: int) -> int:
    began, done, failed = time.monotonic(), 0, 0
    chunks = [(at, min(at + CHUNK, first + seeds)) for at in range(first, first + seeds, CHUNK)]
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(_run_chunk, *chunk): chunk for chunk in chunks}
        for future in as_completed(running):
            start, end = running[future]
            done += end - start
            for failure in future.result():
                failed += 1
                print(f"\n{failure}", flush=True)
            each = (time.monotonic() - began) / done * 1000
            print(f"\r{done} of {seeds} seeds, {each:.1f} ms each", end="", file=sys.stderr)
    print(f"\n{seeds} seeds from {first}: {failed or 'none'} failed", file=sys.stderr)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
