"""Runs seeds, and makes of a failure the shortest schedule that still fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..world.machine import ViolationError
from ..world.shrink import shrink
from .defects import DEFECTS, built_in
from .schedule import Fault, Op, Run, Schedule, draw
from .simulation import Simulation

__all__ = ["DEFECTS", "failing", "shortest", "trace"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that breaks an invariant: which one, and the shortest schedule that still does."""

    seed: int
    reason: str
    shortest: Schedule

    def __str__(self) -> str:
        records = "".join(f"\n  {one}" for one in self.shortest.records)
        return (
            f"seed {self.seed}: {self.reason}\n  {self.shortest.configuration}{records}\n"
            f"replay: python -m tests.simulation --seed {self.seed}"
        )


def failing(seeds: Iterable[int], defect: str = "") -> Iterator[tuple[int, str]]:
    """Run seeds with a defect, if any; yield those that fail, and why."""
    with built_in(defect):
        for seed in seeds:
            if reason := violation(draw(seed)):
                yield seed, reason


def shortest(seed: int, defect: str = "", _keep: str | None = None) -> str:
    """The shortest schedule with which a seed fails; empty if it does not."""
    with built_in(defect):
        failure = try_seed(seed)
    if failure is None:
        return ""
    return f"{failure} --defect '{defect}'" if defect else str(failure)


def trace(seed: int, defect: str = "", _keep: str | None = None) -> list[str]:
    """Each call of the system in a seed, and the invariant that it breaks, if any."""
    simulation = Simulation(draw(seed), traced=True)
    lines = simulation.machine.trace
    assert lines is not None
    with built_in(defect):
        try:
            simulation.run()
        except ViolationError as broken:
            lines.append(f"broken: {broken}")
    return lines


def violation(schedule: Schedule) -> str:
    """Run a schedule; return the invariant that it breaks, or nothing."""
    try:
        Simulation(schedule).run()
    except ViolationError as broken:
        return str(broken)
    return ""


def try_seed(seed: int) -> Failure | None:
    """Run a seed; if it fails, look for its shortest schedule."""
    schedule = draw(seed)
    reason = violation(schedule)
    return Failure(seed, reason, shortened(schedule)) if reason else None


def shortened(schedule: Schedule) -> Schedule:
    """Return the shortest schedule that fails: first without records, then without operations in them."""

    def fails(records: Sequence[Run | Fault]) -> bool:
        return bool(violation(replace(schedule, records=tuple(records))))

    records = shrink(schedule.records, fails)
    for number, record in enumerate(records):
        if isinstance(record, Run):
            before, after = records[:number], records[number + 1 :]

            def with_ops(ops: Sequence[Op]) -> list[Run | Fault]:
                return [*before, replace(record, ops=tuple(ops)), *after]  # noqa: B023  called at once

            ops = shrink(record.ops, lambda ops: fails(with_ops(ops)))
            records = with_ops(ops)
    return replace(schedule, records=tuple(records))
