"""SLOQ with a parameter wrong by a factor of two: the cost after 15 minutes of learning.

Wrong is either the number of slots that the metrics report, or the initial time in a slot. A cell holds the
replicas requested from minute 15 on, relative to a run with correct values and the same requests (minimum and
maximum over the seeds), and the violation-seconds over the whole trace.

    python bench/miscalibrated.py --seeds 3
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Final

from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.run import Run
from tidegate.lab.simulator.score import score
from tidegate.lab.simulator.simulated_policy import run_policy
from tidegate.lab.simulator.system import System

# The traces of one to a few hours, of which 15 minutes are a relevant part.
TRACES: Final = (
    *("steady", "steps", "spike", "diurnal", "sawtooth", "flash-crowd", "slowdown", "outage"),
    "lost-metrics",
)
LEARNED_SECONDS: Final = 900.0
QUARTER_SECONDS: Final = 900.0
TOLERANCE: Final = 0.2
SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Calibration:
    """The slots reported to the policy (actually 4) and the initial time in a slot (0.2 s)."""

    slots: int = SYSTEM.slots
    service_seconds: float = SYSTEM.service_seconds

    def run(self, trace: str, seed: int) -> Run:
        """A run on the trace."""
        system = replace(SYSTEM, reported_slots=self.slots)
        policy = f"sloq:service_seconds={self.service_seconds}"
        return run_policy(policy, find_trace(trace), system, seed)


CORRECT: Final = Calibration()
WRONG: Final = {
    "slots 2 of 4": Calibration(slots=2),
    "slots 8 of 4": Calibration(slots=8),
    "0.1 s of 0.2 s": Calibration(service_seconds=0.1),
    "0.4 s of 0.2 s": Calibration(service_seconds=0.4),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Mean replicas requested from minute 15 on and from minute 15 to 30, and the violations."""

    after: float
    next_quarter: float
    violation_seconds: float


Key = tuple[Calibration, str, int]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--traces", nargs="+", default=TRACES)
    arguments = parser.parse_args()
    seeds = range(arguments.seeds)
    keys = list(product((CORRECT, *WRONG.values()), arguments.traces, seeds))
    outcomes = dict(zip(keys, in_processes(outcome, keys, None), strict=True))
    print(f"| trace | correct | {' | '.join(WRONG)} |\n| --- |{' --- |' * (1 + len(WRONG))}")
    for trace in arguments.traces:
        cells = [violations(outcomes, CORRECT, trace, seeds)]
        cells += [cell(outcomes, calibration, trace, seeds) for calibration in WRONG.values()]
        print(f"| {trace} | {' | '.join(cells)} |")
    pairs = [(outcomes[key], outcomes[CORRECT, *key[1:]]) for key in keys if key[0] != CORRECT]
    print()
    for period, ratios in {
        "from minute 15 on": [wrong.after / right.after for wrong, right in pairs],
        "in minutes 15 to 30": [wrong.next_quarter / right.next_quarter for wrong, right in pairs],
    }.items():
        within = sum(abs(ratio - 1) <= TOLERANCE for ratio in ratios)
        print(
            f"{within} of {len(ratios)} runs within {TOLERANCE:.0%} of the cost {period};"
            f" {min(ratios):.2f} to {max(ratios):.2f} times"
        )


def outcome(key: Key) -> Outcome:
    """The outcome of one run."""
    calibration, trace, seed = key
    run = calibration.run(trace, seed)
    requested = [
        (tick.at, tick.decision.desired) for tick in run.ticks if tick.at >= LEARNED_SECONDS
    ]
    return Outcome(
        after=fmean(number for _, number in requested),
        next_quarter=fmean(n for at, n in requested if at < LEARNED_SECONDS + QUARTER_SECONDS),
        violation_seconds=score(run, SYSTEM.slo_seconds).violation_seconds,
    )


def cell(
    outcomes: Mapping[Key, Outcome], calibration: Calibration, trace: str, seeds: Sequence[int]
) -> str:
    """The ratios, and the violations."""
    ratios = [
        outcomes[calibration, trace, s].after / outcomes[CORRECT, trace, s].after for s in seeds
    ]
    return (
        f"{min(ratios):.2f}–{max(ratios):.2f} · {violations(outcomes, calibration, trace, seeds)}"  # noqa: RUF001
    )


def violations(
    outcomes: Mapping[Key, Outcome], calibration: Calibration, trace: str, seeds: Sequence[int]
) -> str:
    """The mean violation-seconds over the seeds."""
    return f"{fmean(outcomes[calibration, trace, seed].violation_seconds for seed in seeds):.0f}"


if __name__ == "__main__":
    main()
