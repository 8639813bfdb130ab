"""Runs seeds, and makes of a failure the shortest schedule that still fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..world.machine import UnsupportedCallError, ViolationError
from ..world.shrink import shrink
from .schedule import Fault, Op, Run, Schedule, draw
from .simulation import Simulation


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
            f"replay: python -m tests.simulation.pipeline --seed {self.seed}"
        )


def violation(schedule: Schedule) -> str:
    """Run a schedule; return the invariant that it breaks, or nothing."""
    try:
        Simulation(schedule).run()
    except ViolationError as broken:
        return str(broken)
    except (UnsupportedCallError, Exception) as failure:  # noqa: BLE001  its seed is to be named
        return repr(failure)
    return ""


def try_seed(seed: int, *, shortest: bool = True) -> Failure | None:
    """Run a seed."""
    schedule = draw(seed)
    reason = violation(schedule)
    if not reason:
        return None
    return Failure(seed, reason, shortened(schedule) if shortest else schedule)


def first_failure(seeds: Iterable[int], *, shortest: bool = True) -> Failure | None:
    """Run seeds until one fails."""
    return next((found for seed in seeds if (found := try_seed(seed, shortest=shortest))), None)


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
