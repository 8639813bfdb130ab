"""SLOQ and the better HPA on draws of traffic and service that no setting was chosen for.

    python -m bench.autoscaler.drawn                        200 draws, half an hour on two idle cores
    python -m bench.autoscaler.drawn --draws 40 --part odd
    python -m bench.autoscaler.drawn --ablation             SLOQ with each mechanism off alone, too

Settings are chosen on the draws of even numbers and reported on those of odd numbers. The oracles are SLOQ
without a reserve, with a rate of the future in place of the measured one: of the time until a replica started
now is ready, one is told the mean, and the other the highest rate of 5 s. That one keeps no replica for later
than that either.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from bench.autoscaler import draws
from bench.autoscaler.comparison import (
    BASELINES,
    FLOOR,
    SLOQ,
    Scores,
    avoidable,
    better_hpa,
    estimated,
    values,
)
from bench.autoscaler.statistics import ratio_of_sums
from bench.results import Result, save
from tidegate.autoscaler.types import Decision, Policy, Signals
from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.run import simulate
from tidegate.lab.simulator.score import Score, score
from tidegate.lab.simulator.simulated_policy import simulated_policy
from tidegate.lab.simulator.traces import Floats
from tidegate.lab.simulator.workload import generate_workload

DRAWS: Final = 200
PEAK_SECONDS: Final = 5.0
MOST_OF_HPA: Final = 1.1
OFF: Final = MappingProxyType(
    {
        "burst reserve": "coverage=0",
        "bursts of 5 s": "burst_sigmas=0",
        "backlog counted ahead": "backlog_ahead=0",
        "a wait shorter than allowed": "wait_share=1",
        "corrections": "correction_most=1",
        "stay margin": "stay_margin=0",
        "window of scale-down": "down_seconds=0",
    }
)
"""The options that turn a mechanism off."""
PARTS: Final = MappingProxyType({"all": (0, 1), "even": (0, 2), "odd": (1, 2)})


Foresight = Callable[[Floats, float, float], float]
"""The rate that an oracle is told, of arrival times, the time now and the seconds ahead, all in seconds."""


def mean_ahead(arrivals: Floats, now: float, seconds: float) -> float:
    """The mean rate of the next seconds, in requests a second."""
    begin, end = np.searchsorted(arrivals, (now, now + seconds))
    return float(end - begin) / seconds


def peak_ahead(arrivals: Floats, now: float, seconds: float) -> float:
    """The highest rate of 5 s that begin up to 2.5 s ago or within the next seconds, in requests/s."""
    begins = np.arange(now - PEAK_SECONDS / 2, now + seconds, PEAK_SECONDS / 2)
    counts = np.searchsorted(arrivals, begins + PEAK_SECONDS) - np.searchsorted(arrivals, begins)
    return float(counts.max()) / PEAK_SECONDS


ORACLES: Final[Mapping[str, tuple[str, Foresight]]] = MappingProxyType(
    {
        "oracle of means": ("sloq:coverage=0,burst_sigmas=0", mean_ahead),
        "oracle of peaks": ("sloq:coverage=0,burst_sigmas=0,down_seconds=0", peak_ahead),
    }
)
COMPARED: Final = (SLOQ, *ORACLES, FLOOR, *BASELINES)


def foreseeing(policy: Policy, known: Foresight, arrivals: Floats, seconds: float) -> Policy:
    """The policy with what is known of the next seconds in place of the measured rates."""

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        rate = known(arrivals, now, seconds)
        return policy(state, replace(signals, arrival_rate=rate, arrival_rate_60s=rate), now)

    return decide


def score_of(job: tuple[str, int]) -> Score:
    """The score of a policy on the draw of a number."""
    policy_name, number = job
    one = draws.draw(number)
    workload = generate_workload(one.trace, one.system, number)
    expression, known = ORACLES.get(policy_name, (policy_name, None))
    built = simulated_policy(expression, one.system)
    policy = built.policy
    if known is not None:
        horizon = one.system.startup_seconds + built.tick_seconds
        policy = foreseeing(policy, known, workload.arrivals, horizon)
    run = simulate(
        policy,
        one.trace,
        one.system,
        seed=number,
        tick_seconds=built.tick_seconds,
        uses_gateway=built.uses_gateway,
        workload=workload,
    )
    return score(run, one.system.slo_seconds, slo_quantile=one.system.slo_quantile)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--part", choices=PARTS, default="odd", help="default: odd")
    parser.add_argument("--policy", action="append", help="another one; repeatable", default=[])
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--jobs", type=int, help="processes; default: one per core")
    arguments = parser.parse_args()
    if arguments.draws < 2:
        parser.error("--draws must be at least 2")
    first, step = PARTS[arguments.part]
    numbers = range(first, arguments.draws, step)
    off = {f"{SLOQ}:{options}": name for name, options in OFF.items()} if arguments.ablation else {}
    policies = (*COMPARED, *arguments.policy, *off)
    jobs = [(policy, number) for number in numbers for policy in policies]
    scores = in_processes(score_of, jobs, arguments.jobs)
    table = {
        (policy, str(number)): [found] for (policy, number), found in zip(jobs, scores, strict=True)
    }
    print(f"{len(numbers)} draws ({arguments.part})\n")
    shown = [str(number) for number in numbers]
    print("\n".join(summary(table, shown, off)))
    whole = arguments.draws == DRAWS and not arguments.policy
    save(f"drawn_{arguments.part}", list(results_of(table, shown, off)), whole=whole)


def summary(table: Scores, numbers: Sequence[str], off: Mapping[str, str]) -> Iterator[str]:
    """The lines of the result: the better HPA, SLOQ, the oracles, and SLOQ with something off.

    Args:
        table: scores by policy and number of the draw.
        numbers: the draws.
        off: what is off, by policy.
    """
    hpa = _better_hpa(table, numbers)
    late_hpa, cost_hpa = _spent(table, hpa)
    floor = sum(_late(table, FLOOR, number) for number in numbers)
    yield f"{floor:,.0f} violation-seconds are unavoidable. In parentheses: 95 % intervals over the draws.\n"
    yield (
        "| policy | avoidable violation-seconds · replica-seconds in thousands | / HPA's violations"
        " | / HPA's cost | dominated | over 1.1 times HPA |"
    )
    yield "| --- | --- | --- | --- | --- | --- |"
    yield f"| the better HPA | {sum(late_hpa):,.0f} · {sum(cost_hpa) / 1000:,.0f} | 1 | 1 | | |"
    for policy in _compared(table):
        late, cost = _spent(table, dict.fromkeys(numbers, policy))
        dominated = sum(_dominated(table, policy, number) for number in numbers)
        over = sum(
            _late(table, policy, number) > MOST_OF_HPA * _late(table, hpa[number], number)
            for number in numbers
        )
        yield (
            f"| {_title(policy, off)}"
            f" | {sum(late):,.0f} · {sum(cost) / 1000:,.0f}"
            f" | {ratio_of_sums(late, late_hpa):.2f} | {ratio_of_sums(cost, cost_hpa):.2f}"
            f" | {dominated / len(numbers):.1%} | {over / len(numbers):.1%} |"
        )


def results_of(table: Scores, numbers: Sequence[str], off: Mapping[str, str]) -> Iterator[Result]:
    """The ratios of the same summary, to be saved."""
    late_hpa, cost_hpa = _spent(table, _better_hpa(table, numbers))
    for policy in _compared(table):
        late, cost = _spent(table, dict.fromkeys(numbers, policy))
        title = f"{_title(policy, off)}, against the better HPA"
        yield estimated(f"avoidable violation-seconds of {title}", late, late_hpa)
        yield estimated(f"replica-seconds of {title}", cost, cost_hpa)


def _title(policy: str, off: Mapping[str, str]) -> str:
    return f"without {off[policy]}" if policy in off else policy


def _compared(table: Scores) -> list[str]:
    policies = dict.fromkeys(policy for policy, _ in table)
    return [policy for policy in policies if policy not in {FLOOR, *BASELINES}]


def _spent(table: Scores, policies: Mapping[str, str]) -> tuple[list[float], list[float]]:
    """Avoidable violation-seconds and replica-seconds, of the policy of each number, draw by draw."""
    late = [one for number, policy in policies.items() for one in avoidable(table, policy, number)]
    return late, [_cost(table, policy, number) for number, policy in policies.items()]


def _better_hpa(table: Scores, numbers: Sequence[str]) -> dict[str, str]:
    return {number: better_hpa(table, number) for number in numbers}


def _late(table: Scores, policy: str, number: str) -> float:
    return sum(values(table[policy, number], "violation_seconds"))


def _cost(table: Scores, policy: str, number: str) -> float:
    return sum(values(table[policy, number], "replica_seconds"))


def _dominated(table: Scores, policy: str, number: str) -> bool:
    """Whether a baseline has fewer violations and a lower cost."""
    late, cost = _late(table, policy, number), _cost(table, policy, number)
    return any(
        _late(table, other, number) < late and _cost(table, other, number) < cost
        for other in BASELINES
    )


if __name__ == "__main__":
    main()
