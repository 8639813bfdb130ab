"""Rises that come at the same time of day, or do not: policies with and without `predictive`.

A cell has the violation-seconds and the replica-seconds in thousands of three hours of a day, as means over
the seeds. Each seed has other days: each has a level of its own (cv 0.2), and requests come at random. Then
each policy beside the same one without `predictive`, in sum over the start-ups, seed by seed.

    python -m bench.daily_rises --seeds 3                                    half an hour
    python -m bench.daily_rises --cases --csv requests.csv --startups 30     days of your own
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Final

import numpy as np

from bench.results import Result, result, save
from tidegate.autoscaler.wrappers.daily_rise import DAY_SECONDS, DAYS
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.score import Score, score
from tidegate.lab.simulator.simulated_policy import run_policy
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Floats, Trace, read_csv

HPA: Final = "hpa:inflight=0.7"
PREDICTIVE: Final = {"sloq:predictive=1": "sloq", f"{HPA},predictive=1": HPA}
POLICIES: Final = tuple(one for pair in PREDICTIVE.items() for one in reversed(pair))
# The one real trace of the project.
REAL: Final = "flights"
STARTUPS: Final = (30.0, 120.0, 300.0)
INTERVAL: Final = 5.0
MINUTE: Final = 60.0
SECONDS: Final = 180 * MINUTE
LOW, HIGH = 25.0, 90.0
RISES: Final = np.array([40.0, 100.0, 150.0]) * MINUTE
RISE_SECONDS: Final = 15 * MINUTE
TIMES: Final = np.arange(0.0, SECONDS, INTERVAL) + INTERVAL / 2

Day = Callable[[np.random.Generator], Floats]


def steps(random: np.random.Generator) -> Floats:
    """25 requests a second, and 90 for 15 minutes, three times, each up to 30 s early or late."""
    return _rises(RISES + random.uniform(-30.0, 30.0, len(RISES)))


def irregular(random: np.random.Generator) -> Floats:
    """The same at other times each day."""
    return _rises(random.uniform(20 * MINUTE, 160 * MINUTE, len(RISES)))


def quiet(random: np.random.Generator) -> Floats:
    """No rise, and fewer requests, as at the weekend."""
    return np.full_like(TIMES, 0.8 * LOW)


def holiday(random: np.random.Generator) -> Floats:
    """The rises, at 40 %."""
    return 0.4 * steps(random)


def jobs(random: np.random.Generator) -> Floats:
    """The rises, and no requests in between."""
    return np.where(steps(random) > LOW, HIGH, 0.05)


def ramp(random: np.random.Generator) -> Floats:
    """From 10 to 100 in 10 minutes, up to 2 minutes early or late."""
    since = TIMES - 60 * MINUTE - random.uniform(-120.0, 120.0)
    return 10.0 + 90.0 * np.clip(since / (10 * MINUTE), 0.0, 1.0)


def noise(random: np.random.Generator) -> Floats:
    """No rise, and another rate each minute (cv 0.5)."""
    minutes = random.lognormal(-0.11, 0.47, round(SECONDS / MINUTE))
    return 45.0 * np.repeat(minutes, round(MINUTE / INTERVAL))


def _rises(begins: Floats) -> Floats:
    since = TIMES[:, None] - begins
    return np.where(((since >= 0) & (since < RISE_SECONDS)).any(axis=1), HIGH, LOW)


# The day, and those before it.
CASES: Final[Mapping[str, tuple[Day, tuple[Day, ...]]]] = {
    "rises each day": (steps, (steps,) * 7),
    "a weekday": (steps, (*[steps] * 4, quiet, quiet, steps)),
    "the first day of the weekend": (quiet, (*[steps] * 5, quiet, quiet)),
    "a holiday": (holiday, (steps,) * 7),
    "jobs from idle": (jobs, (jobs,) * 7),
    "a ramp each day": (ramp, (ramp,) * 7),
    "rises at other times": (irregular, (irregular,) * 7),
    "noise": (noise, (noise,) * 7),
}


def trace(case: str, seed: int) -> Trace:
    """The day with its earlier days. Those are counts, as a Prometheus has them."""
    day, earlier = CASES[case]
    random = np.random.default_rng((seed, list(CASES).index(case)))
    counted = [random.poisson(_level(one, random) * INTERVAL) / INTERVAL for one in earlier]
    return Trace(case, INTERVAL, _level(day, random), earlier=tuple(counted))


def _level(day: Day, random: np.random.Generator) -> Floats:
    return day(random) * random.lognormal(0.0, 0.2)


def score_of(policy: str, day: Trace, startup_seconds: float, seed: int) -> Score:
    """The score of a run."""
    system = System(startup_seconds=startup_seconds)
    return score(run_policy(policy, day, system, seed), system.slo_seconds)


def real_days(path: Path, peak: float) -> Iterator[Trace]:
    """The days of a CSV file that begins at midnight, each with the seven before it."""
    whole = read_csv(path, math.inf)
    length = round(DAY_SECONDS / whole.interval_seconds)
    days = [whole.rates[at : at + length] for at in range(0, len(whole.rates), length)]
    for number in range(DAYS, len(days)):
        earlier = tuple(reversed(days[number - DAYS : number]))
        name = f"{path.stem}, day {number + 1}"
        yield Trace(name, whole.interval_seconds, days[number], earlier=earlier).with_peak(peak)


def cases_of(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[int], Trace]]]:
    """The name of each case, and its trace with a seed."""
    for case in arguments.cases:
        yield case, partial(trace, case) if case in CASES else lambda _: find_trace("flights")
    for path in arguments.csv:
        for day in real_days(path, arguments.peak):
            yield day.name, partial(_of_any_seed, day)


def _of_any_seed(day: Trace, seed: int) -> Trace:
    del seed
    return day


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="*", choices=[*CASES, REAL], default=[*CASES, REAL])
    parser.add_argument(
        "--csv", nargs="*", type=Path, default=[], help="of a week and a day or more"
    )
    parser.add_argument("--peak", type=float, default=60.0, help="of each day of these files")
    parser.add_argument("--startups", nargs="+", type=float, default=STARTUPS)
    parser.add_argument("--policies", nargs="+", default=POLICIES)
    arguments = parser.parse_args()
    print(f"| day | start-up | {' | '.join(f'`{one}`' for one in arguments.policies)} |")
    print(f"| --- | --- |{' --- |' * len(arguments.policies)}")
    table: dict[tuple[str, str], list[list[Score]]] = {}
    for (name, made), startup in product(cases_of(arguments), arguments.startups):
        cells = []
        for policy in arguments.policies:
            scores = [
                score_of(policy, made(seed), startup, seed) for seed in range(arguments.seeds)
            ]
            table.setdefault((name, policy), []).append(scores)
            violations = fmean(one.violation_seconds for one in scores)
            cost = fmean(one.replica_seconds for one in scores) / 1000
            cells.append(f"{violations:,.0f} · {cost:.1f}")
        print(f"| {name} | {startup:g} s | {' | '.join(cells)} |", flush=True)
    save("daily_rises", results_of(table), whole=arguments == parser.parse_args([]))


def results_of(table: Mapping[tuple[str, str], list[list[Score]]]) -> list[Result]:
    """Each policy beside the same one without `predictive`, in sum over the start-ups, seed by seed.

    Args:
        table: by day and policy, the scores of each start-up and seed.
    """
    return [
        result(
            f"{name}, {measure}: `{policy}` against `{PREDICTIVE[policy]}`",
            *(
                [
                    sum(float(getattr(score, field)) for score in seed)
                    for seed in zip(*table[name, one], strict=True)
                ]
                for one in (policy, PREDICTIVE[policy])
            ),
            unit="s",
        )
        for name, policy in table
        if (name, PREDICTIVE.get(policy, "")) in table
        for measure, field in (
            ("violation-seconds", "violation_seconds"),
            ("replica-seconds", "replica_seconds"),
        )
    ]


if __name__ == "__main__":
    main()
