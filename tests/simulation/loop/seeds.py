"""Runs seeds, and makes of a failure the shortest schedule that still fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .defects import DEFECTS, defect
from .run import Result, kept, run, shrink, simulated
from .schedule import Schedule, draw

__all__ = ["DEFECTS", "failing", "shortest", "trace"]


def failing(seeds: Iterable[int], name: str = "") -> Iterator[tuple[int, str]]:
    """Run seeds with a defect, if any; yield those that fail, and why."""
    with simulated(), defect(name):
        for seed in seeds:
            if (result := run(draw(seed))).invariant:
                yield seed, f"not kept: {result.invariant}: {result.problem}"


def shortest(seed: int, name: str = "", keep: str | None = None) -> str:
    """The fewest faults with which a seed fails; empty if it does not."""
    with simulated(), defect(name):
        result = run(_schedule(seed, keep))
        if not result.invariant:
            return ""
        return _describe(result, shrink(result.schedule, result.invariant), name)


def trace(seed: int, name: str = "", keep: str | None = None) -> list[str]:
    """What happens in a seed, or with some of its faults alone."""
    with simulated(), defect(name):
        result = run(schedule := _schedule(seed, keep))
    return [*result.trace, str(schedule.setup)]


def _schedule(seed: int, keep: str | None) -> Schedule:
    schedule = draw(seed)
    if keep is None:
        return schedule
    return kept(schedule, [int(number) for number in keep.split(",") if number])


def _describe(result: Result, shortest: Schedule, name: str) -> str:
    seed = result.schedule.seed
    every = draw(seed).faults
    numbers = [str(every.index(fault)) for fault in shortest.faults]
    kept_ones = f" --keep {','.join(numbers)}" if len(numbers) < len(every) else ""
    with_defect = f" --defect '{name}'" if name else ""
    return "\n".join(
        [
            f"seed {seed}: not kept: {result.invariant}: {result.problem}",
            *(f"  {fault}" for fault in shortest.faults),
            f"replay: python -m tests.simulation --world loop --seed {seed}{kept_ones}{with_defect}",
        ]
    )
