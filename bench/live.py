"""The simulator against the live stack: `steps` and `spike`, under SLOQ and under HPA.

Each run has its own stack with the simulated device, under the open loop of loadgen. Then the simulator runs
the same requests with the measured slots, service times, start-up time and ticks. Prints measured and
predicted values and their ratio; writes live-SCENARIO.png. Takes 15 minutes per seed of the load.

A run has few violation-seconds, in steps of ten, or none, for which a tolerance of 20 % has no meaning: so
the sums of each scenario and of all are checked. Exits with 1 if one is out of tolerance.

    python -m bench.live
    python -m bench.live --load-seeds 1 2 3 4      four live runs of each scenario under each policy
    python -m bench.live --only spike --policy sloq --policy surge        other policies, side by side
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from bench.results import Result, result, save
from bench.running.measured import LiveRun, measure
from bench.running.predicted import (
    INTERVAL_SECONDS,
    Prediction,
    as_run,
    live_score,
    mean_times,
    predict,
)
from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.plots import COLOURS
from tidegate.lab.simulator.score import Score, binned
from tidegate.lab.simulator.system import System

# As in loadgen/scenarios, with fewer, longer requests, so that the machine does not affect the result.
STEPS: Final = (3.0, 7.0, 14.0, 22.0, 14.0, 7.0, 3.0)
STEP_SECONDS: Final = 30
SPIKE: Final = ((30, 3.0), (60, 25.0), (90, 3.0))
SCENARIOS: Final[dict[str, tuple[tuple[int, float], ...]]] = {
    "steps": tuple((STEP_SECONDS, rate) for rate in STEPS),
    "spike": SPIKE,
}
POLICIES: Final = ("sloq", "hpa:inflight=0.7,tick=15")
DEVICE: Final = {"light_seconds": 0.2, "medium_seconds": 0.4, "heavy_seconds": 0.6}
SYSTEM: Final = System(slots=2, slo_seconds=1.2, bounds=Bounds(1, 6), start=1)
# The maximum that `surge` lends a replica, by its `most_factor`; other policies do not set slots.
MAX_SLOTS: Final = 2 * SYSTEM.slots
SEEDS: Final = 20
SUMS: Final = 10_000
TOLERANCE: Final = 0.2

SIMULATED: Final[dict[str, Any]] = {"color": COLOURS[1], "linewidth": 0.7, "alpha": 0.35}
MEASURES: Final = ("violation_seconds", "replica_seconds", "reversals")
CHECKED_MEASURES: Final = MEASURES[:2]
ALL: Final = "all"

Pair = tuple[LiveRun, Prediction]
Scored = tuple[LiveRun, Score, Prediction]
Sums = dict[str, dict[str, tuple[float, float]]]


def main() -> int:
    """Measure, compare and plot. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="simulated runs per live run")
    parser.add_argument(
        "--load-seeds", type=int, nargs="+", default=[1], help="a live run per seed"
    )
    parser.add_argument("--only", choices=SCENARIOS, help="only this scenario")
    parser.add_argument(
        "--policy",
        action="append",
        help=f"a policy expression, repeatable (default: {', '.join(POLICIES)})",
    )
    parser.add_argument("--out", type=Path, default=Path("docs/img"), help="the folder for plots")
    arguments = parser.parse_args()
    names = [arguments.only] if arguments.only else list(SCENARIOS)
    policies = arguments.policy or POLICIES
    runs = asyncio.run(everything(names, policies, arguments.port, arguments.load_seeds))
    pairs = [(one, predict(one, rates(one.scenario), SYSTEM, arguments.seeds)) for one in runs]
    scored = [
        (live, live_score(live, length(live.scenario), found.system), found)
        for live, found in pairs
    ]
    wrong = out_of_tolerance(sums(scored))
    print("\n".join([*runs_measured(scored), *(f"- {each}" for each in wrong), ""]))
    save("live", results_of(scored), whole=not arguments.only and not arguments.policy)
    for name in dict.fromkeys(one.scenario for one in runs):
        own = [pair for pair in pairs if pair[0].scenario == name]
        plot(arguments.out / f"live-{name}.png", name, own)
    return int(bool(wrong))


async def everything(
    names: Sequence[str], policies: Sequence[str], port: int, seeds: Sequence[int]
) -> list[LiveRun]:
    """Every scenario with every seed of the load under every policy, one after the other."""
    found = []
    for name, seed, policy in product(names, seeds, policies):
        print(f"{name} under {policy}", file=sys.stderr, flush=True)
        toml = scenario(name)
        found.append(await measure(name, toml, policy, settings(), port=port, seed=seed))
    return found


def settings() -> dict[str, dict[str, object]]:
    """The settings of the stack, from `SYSTEM`."""
    return {
        "device": {"simulated": True, **DEVICE},
        "slots": {"per_replica": SYSTEM.slots, "max": MAX_SLOTS},
        "slo": {"latency_seconds": SYSTEM.slo_seconds, "latency_quantile": SYSTEM.slo_quantile},
        "replicas": {"start": SYSTEM.start, "min": SYSTEM.bounds.min, "max": SYSTEM.bounds.max},
    }


def scenario(name: str) -> str:
    """The scenario in loadgen's TOML."""
    lines = [f'name = "{name}"', 'arrivals = "poisson"']
    for seconds, rate in SCENARIOS[name]:
        lines += ["[[phases]]", 'kind = "constant"', f"seconds = {seconds}", f"rate = {rate}"]
    return "\n".join(lines)


def rates(name: str) -> list[float]:
    """The scenario as rates of the simulator."""
    return [
        rate for seconds, rate in SCENARIOS[name] for _ in range(round(seconds / INTERVAL_SECONDS))
    ]


def length(name: str) -> float:
    """The length of the scenario in seconds."""
    return float(sum(seconds for seconds, _ in SCENARIOS[name]))


def sums(scored: list[Scored]) -> Sums:
    """By scenario, and in total: for each measure, the live and the predicted sum."""
    found: Sums = {}
    for name in [*dict.fromkeys(live.scenario for live, _, _ in scored), ALL]:
        own = [
            (measured, prediction.mean)
            for live, measured, prediction in scored
            if name in (live.scenario, ALL)
        ]
        found[name] = {
            one: (
                sum(getattr(measured, one) for measured, _ in own),
                sum(getattr(predicted, one) for _, predicted in own),
            )
            for one in MEASURES
        }
    return found


def results_of(scored: list[Scored]) -> list[Result]:
    """The predicted sums beside the live ones; the spread is what 9 in 10 sums of simulated runs are in."""
    found = []
    for name, measures in sums(scored).items():
        own = [one for live, _, one in scored if name in (live.scenario, ALL)]
        for field, (live, predicted) in measures.items():
            title = f"{field.replace('_', '-')} of {name}, in sum: predicted against live"
            unit = "" if field == "reversals" else "s"
            one = result(title, [predicted], [live], unit=unit)
            low, high = (edge / (live or 1.0) for edge in spread(own, field))
            found.append(replace(one, spread=(round(low, 3), round(high, 3))))
    return found


def out_of_tolerance(found: Sums) -> list[str]:
    """A sentence for each sum that the simulator predicts badly.

    A scenario without live violations has no ratio; its prediction counts in the total.
    """
    return [
        f"{one.replace('_', '-')} of {name}, in sum: {live:.0f} live, {predicted:.0f} predicted,"
        f" which is not within {TOLERANCE:.0%}"
        for name, measures in found.items()
        for one in CHECKED_MEASURES
        for live, predicted in [measures[one]]
        if abs(predicted - live) > TOLERANCE * live and (live or name == ALL)
    ]


def runs_measured(scored: list[Scored]) -> Iterator[str]:
    """What was measured in each live run, and predicted of it."""
    loads = len({live.seed for live, _, _ in scored})
    for live, measured, prediction in scored:
        system = prediction.system
        load = f", load {live.seed}" if loads > 1 else ""
        outcomes = ", ".join(
            f"{one.replace('_', '-')} {getattr(measured, one):.0f} : {getattr(prediction.mean, one):.0f}"
            for one in MEASURES
        )
        yield (
            f"- {live.scenario}, {live.policy}{load}: {outcomes}, late requests"
            f" {measured.over_slo_ratio:.1%} : {prediction.mean.over_slo_ratio:.1%} (live : predicted);"
            f" in a slot {mean_times(live.services)} (cv {system.service_cv:.2f}); start-up"
            f" {system.startup_seconds:.1f} s (from {min(live.startups):.1f} to {max(live.startups):.1f},"
            f" {len(live.startups)} of them); signals {live.signal_age_seconds:.1f} s old;"
            f" {len(live.arrivals)} requests, {live.failed} failed; sent late by"
            f" {1000 * live.lag_p99:.0f} ms (p99)"
        )


def spread(found: Sequence[Prediction], measure: str) -> tuple[float, float]:
    """The 5th and the 95th percentile of the sum of one simulated run of each prediction."""
    drawn = np.random.default_rng(0)
    totals = sum(
        drawn.choice([getattr(one, measure) for one in prediction.scores], SUMS)
        for prediction in found
    )
    low, high = np.quantile(totals, (0.05, 0.95))
    return float(low), float(high)


def plot(path: Path, name: str, pairs: list[Pair]) -> None:
    """Replicas and p95 over time, live and predicted, one column per policy."""
    policies = list(dict.fromkeys(live.policy for live, _ in pairs))
    figure = Figure(figsize=(6 * len(policies), 7), layout="constrained")
    figure.suptitle(f"{name}: the live stack, and what the simulator says")
    axes = figure.subplots(2, len(policies), sharex=True, sharey="row", squeeze=False)
    for policy, (above, below) in zip(policies, axes.T, strict=True):
        own = [pair for pair in pairs if pair[0].policy == policy]
        for _, prediction in own:
            for run in prediction.runs:
                ticks = [(tick.at, tick.signals.ready) for tick in run.ticks if tick.at >= 0]
                above.step(*zip(*ticks, strict=True), where="post", **SIMULATED)
                below.plot(*binned(run, SYSTEM.slo_quantile), **SIMULATED)
        for live, _ in own:
            seconds = length(name)
            times = [(at, ready) for at, _, ready in live.replicas if 0 <= at <= seconds]
            above.step(*zip(*times, strict=True), where="post", color=COLOURS[0])
            below.plot(*binned(as_run(live, seconds), SYSTEM.slo_quantile), color=COLOURS[0])
        below.axhline(SYSTEM.slo_seconds, color="black", linestyle="--", linewidth=1)
        above.set(title=policy, ylabel="replicas ready")
        below.set(xlabel="seconds", ylabel="p95 of 10 s, seconds", yscale="log")
        below.yaxis.set_major_formatter("{x:g}")
        below.yaxis.set_minor_formatter("{x:g}")
        above.plot([], [], color=COLOURS[0], label="live")
        above.plot([], [], label="simulated, each seed", **SIMULATED)
        above.legend(fontsize="small", loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    sys.exit(main())
