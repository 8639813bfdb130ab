"""SLOQ told twice or half of the truth: what that costs once it has had 15 minutes to learn.

What is wrong is either the slots of a replica, as the metrics tell them, or the time in a slot to start from.
A cell holds the replicas asked for from minute 15 on, as a share of those that the same requests take when
all is told right, the least and the most over the seeds; and violation-seconds over the whole trace.

    python bench/miscalibrated.py --seeds 3
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean
from typing import Final

from tidegate.autoscaler.simulator.named_traces import find_trace
from tidegate.autoscaler.simulator.run import Run, simulate
from tidegate.autoscaler.simulator.score import score
from tidegate.autoscaler.simulator.simulated_policy import simulated_policy
from tidegate.autoscaler.simulator.system import System

# Those of an hour or a few: the quarter of an hour is a part of them that counts.
TRACES: Final = (
    *("steady", "steps", "spike", "diurnal", "sawtooth", "flash-crowd", "slowdown", "outage"),
    "lost-metrics",
)
LEARNED_SECONDS: Final = 900.0
FIRST_SECONDS: Final = 900.0
MOST_OFF: Final = 0.2
SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class Told:
    """What the policy is told: slots of a replica (the truth is 4) and seconds in a slot (0.2)."""

    slots: int = SYSTEM.slots
    service_seconds: float = SYSTEM.service_seconds

    def run(self, trace: str, seed: int) -> Run:
        """A run over the trace."""
        system = replace(SYSTEM, reported_slots=self.slots)
        one = simulated_policy(f"sloq:service_seconds={self.service_seconds}", system)
        return simulate(
            one.policy, find_trace(trace), system, seed=seed, tick_seconds=one.tick_seconds
        )


RIGHT: Final = Told()
WRONG: Final = {
    "slots 2 of 4": Told(slots=2),
    "slots 8 of 4": Told(slots=8),
    "0.1 s of 0.2 s": Told(service_seconds=0.1),
    "0.4 s of 0.2 s": Told(service_seconds=0.4),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Replicas asked for in the mean from minute 15 on, in the quarter of an hour after it, and the harm."""

    after: float
    next_quarter: float
    violation_seconds: float


Key = tuple[Told, str, int]


def main() -> None:
    """Run it all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--traces", nargs="+", default=TRACES)
    wanted = parser.parse_args()
    seeds = range(wanted.seeds)
    keys = list(product((RIGHT, *WRONG.values()), wanted.traces, seeds))
    with ProcessPoolExecutor() as pool:
        outcomes = dict(zip(keys, pool.map(outcome, keys), strict=True))
    print(f"| trace | told right | {' | '.join(WRONG)} |\n| --- |{' --- |' * (1 + len(WRONG))}")
    for trace in wanted.traces:
        cells = [harm(outcomes, RIGHT, trace, seeds)]
        cells += [cell(outcomes, told, trace, seeds) for told in WRONG.values()]
        print(f"| {trace} | {' | '.join(cells)} |")
    pairs = [(outcomes[key], outcomes[RIGHT, *key[1:]]) for key in keys if key[0] != RIGHT]
    print()
    for words, ratios in {
        "from minute 15 on": [wrong.after / right.after for wrong, right in pairs],
        "in minutes 15 to 30": [wrong.next_quarter / right.next_quarter for wrong, right in pairs],
    }.items():
        within = sum(abs(ratio - 1) <= MOST_OFF for ratio in ratios)
        print(
            f"{within} of {len(ratios)} runs within {MOST_OFF:.0%} of the cost {words};"
            f" {min(ratios):.2f} to {max(ratios):.2f} times"
        )


def outcome(key: Key) -> Outcome:
    """What became of one run."""
    told, trace, seed = key
    run = told.run(trace, seed)
    asked = [(tick.at, tick.decision.desired) for tick in run.ticks if tick.at >= LEARNED_SECONDS]
    return Outcome(
        after=fmean(number for _, number in asked),
        next_quarter=fmean(n for at, n in asked if at < LEARNED_SECONDS + FIRST_SECONDS),
        violation_seconds=score(run, SYSTEM.slo_seconds).violation_seconds,
    )


def cell(outcomes: Mapping[Key, Outcome], told: Told, trace: str, seeds: Sequence[int]) -> str:
    """The ratios, and the harm."""
    ratios = [outcomes[told, trace, s].after / outcomes[RIGHT, trace, s].after for s in seeds]
    return f"{min(ratios):.2f}–{max(ratios):.2f} · {harm(outcomes, told, trace, seeds)}"  # noqa: RUF001


def harm(outcomes: Mapping[Key, Outcome], told: Told, trace: str, seeds: Sequence[int]) -> str:
    """Violation-seconds, in the mean over the seeds."""
    return f"{fmean(outcomes[told, trace, seed].violation_seconds for seed in seeds):.0f}"


if __name__ == "__main__":
    main()
