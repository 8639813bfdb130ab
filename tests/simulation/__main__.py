"""Runs seeds of a simulation, or one of them again.

python -m tests.simulation --seeds 100000 --jobs 2       the first hundred thousand of the event pipeline
python -m tests.simulation --world loop --first 5000     a thousand of the control loop, from 5000
python -m tests.simulation --seed 4711                   one, with its shortest schedule if it fails
python -m tests.simulation --seed 4711 --trace           and with all that happens in it
python -m tests.simulation --defects --seeds 10000       the first seed that finds each known defect
python -m tests.simulation --coverage --seeds 3000       which branches for errors of the pipeline they reach
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

from .pipeline.error_branches import report
from .world.machine import UnsupportedCallError

CHUNK = 100
SHRUNK = 3
"""Failing seeds whose shortest schedules are looked for in the end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a seed fails, or if a defect is not found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--world", choices=("pipeline", "loop"), default="pipeline")
    parser.add_argument("--seeds", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--first", type=int, default=0, help="the first one (0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (1)")
    parser.add_argument("--seed", type=int, help="run this one only")
    parser.add_argument("--keep", help="with --seed, loop: only its faults with these numbers")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happens")
    parser.add_argument("--defect", default="", help="put this defect in")
    parser.add_argument("--defects", action="store_true", help="look for each known defect")
    parser.add_argument("--coverage", action="store_true", help="list the branches not reached")
    chosen = parser.parse_args(arguments)
    world = _world(chosen.world)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    if chosen.defect and chosen.defect not in world.DEFECTS:
        parser.error(f"--defect is one of {', '.join(world.DEFECTS)}")
    if chosen.coverage:
        if chosen.world != "pipeline":
            parser.error("--coverage is of the pipeline")
        return report(seeds)
    if chosen.seed is not None:
        return _one(world, chosen)
    if chosen.defects:
        return _defects(world, seeds)
    return _many(chosen.world, seeds, chosen.jobs, chosen.defect)


def _world(name: str) -> Any:
    """The module of a world: `DEFECTS`, `failing`, `shortest` and `trace`."""
    return importlib.import_module(f".{name}.seeds", __package__)


def _one(world: Any, chosen: argparse.Namespace) -> int:
    if chosen.trace:
        print(*world.trace(chosen.seed, chosen.defect, chosen.keep), sep="\n")
    failed = world.shortest(chosen.seed, chosen.defect, chosen.keep)
    print(failed or f"seed {chosen.seed} holds")
    return int(bool(failed))


def _defects(world: Any, seeds: range) -> int:
    missed = 0
    for name in world.DEFECTS:
        found = next((one for seed in seeds for one in world.failing([seed], name)), None)
        missed += found is None
        print(f"{found[0] if found else 'none':>6} {name}: {found[1][:90] if found else ''}")
    return int(missed > 0)


def _chunk(name: str, defect: str, seeds: range) -> list[tuple[int, str]]:
    failed = list[tuple[int, str]]()
    for seed in seeds:
        try:
            failed += _world(name).failing([seed], defect)
        except (Exception, UnsupportedCallError) as error:  # noqa: BLE001  the others go on
            failed.append((seed, f"the simulation itself fails: {error!r}"))
    return failed


def _many(name: str, seeds: range, jobs: int, defect: str) -> int:
    began, done = time.monotonic(), 0
    failed: list[tuple[int, str]] = []
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(partial(_chunk, name, defect, chunk)): chunk for chunk in chunks}
        for future in as_completed(running):
            done += len(running.pop(future))
            for seed, reason in future.result():
                failed.append((seed, reason))
                print(f"\nseed {seed}: {reason}", flush=True)
            rate = done / (time.monotonic() - began)
            left = (len(seeds) - done) / rate
            print(
                f"\r{done:,} of {len(seeds):,} seeds, {rate:.0f} a second, {left / 60:.0f} minutes left ",
                end="",
                file=sys.stderr,
                flush=True,
            )
    print(
        f"\n{len(seeds):,} seeds of the {name} from {seeds.start}: {len(failed) or 'none'} failed"
    )
    for seed, _ in sorted(failed)[:SHRUNK]:
        print(_world(name).shortest(seed, defect), flush=True)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
