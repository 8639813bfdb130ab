"""SLOQ where replicas start within seconds, against HPA: today's, and one whose replicas start as fast.

    python -m bench.autoscaler.startups                            the odd draws, hours on two cores
    python -m bench.autoscaler.startups --draws 40 --startup 1
    python -m bench.autoscaler.startups --traces FOLDER --draws 0  traces of real services, as CSV files

Today's HPA has its tick of 15 s, and replicas that start in 30 s. The same on faster replicas is compared,
too, and one that decides each second. Of each, the violations of as many replicas as allowed, which start as
fast, are taken off. Intervals are of 95 %, by a bootstrap over the draws or traces.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench.autoscaler import draws
from bench.autoscaler.comparison import FLOOR, HPAS, SLOQ, Scores, avoidable, better_hpa, values
from bench.autoscaler.statistics import bootstrapped
from bench.results import Result, result, save
from tidegate.lab.simulator.comparison import Job, TraceSpec, score_job, trace_of
from tidegate.lab.simulator.processes import in_processes
from tidegate.lab.simulator.system import System
from tidegate.lab.simulator.traces import Trace

DRAWS: Final = 200
TODAY: Final = 30.0
# Local mode, a container, a pod on a node that has the image, and slower ones.
STARTUPS: Final = (1.0, 2.0, 4.0, 10.0, 30.0, 90.0)
EACH_SECOND: Final = "hpa:inflight=0.7,tick=1"
PEAK: Final = 60.0
# Of violations and cost, where replicas start in a second.
WANTED: Final[Mapping[str, tuple[float, float]]] = {
    "today's HPA": (0.25, 0.80),
    "an HPA that starts as fast": (0.45, 0.85),
}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=DRAWS, help="up to this one, odd ones only")
    parser.add_argument("--traces", type=Path, help="a folder of CSV files; their peak is scaled")
    parser.add_argument("--startup", type=float, action="append", help="seconds; repeatable")
    parser.add_argument("--jobs", type=int, help="processes; default: one per core")
    arguments = parser.parse_args()
    cases = [_drawn(number) for number in range(1, arguments.draws, 2)]
    files = sorted(arguments.traces.glob("*.csv")) if arguments.traces else []
    cases += [(trace_of(TraceSpec(str(file), PEAK)), System(start=1), 0) for file in files]
    if len(cases) < 2:
        parser.error("at least two draws or traces are needed")
    startups = arguments.startup or STARTUPS
    keys, jobs = [], list[Job]()
    for startup in dict.fromkeys((TODAY, *startups)):
        policies = (FLOOR, *HPAS, *((SLOQ, EACH_SECOND) if startup in startups else ()))
        for number, (trace, system, seed) in enumerate(cases):
            met = replace(system, startup_seconds=startup)
            keys += [(startup, policy, str(number)) for policy in policies]
            jobs += [(policy, trace, met, seed) for policy in policies]
    scores = list(in_processes(score_job, jobs, arguments.jobs))
    tables: dict[float, Scores] = {
        startup: {
            (policy, case): [found]
            for (of, policy, case), found in zip(keys, scores, strict=True)
            if of == startup
        }
        for startup in (TODAY, *startups)
    }
    print(f"{len(cases)} draws or traces\n")
    results = [one for startup in startups for one in compared(tables, startup, len(cases))]
    save("startups", results, whole=arguments.draws == DRAWS and startups == STARTUPS)


def compared(tables: Mapping[float, Scores], startup: float, count: int) -> Iterator[Result]:
    """SLOQ's ratios against each HPA, with replicas that start in these seconds."""
    table, cases = tables[startup], [str(number) for number in range(count)]
    sloq = dict.fromkeys(cases, SLOQ)
    hpas = {
        "today's HPA": (tables[TODAY], {case: better_hpa(tables[TODAY], case) for case in cases}),
        "an HPA that starts as fast": (table, {case: better_hpa(table, case) for case in cases}),
        "one that decides each second, too": (table, dict.fromkeys(cases, EACH_SECOND)),
    }
    for title, (other, hpa) in hpas.items():
        targets = WANTED.get(title, (None, None)) if startup == 1 else (None, None)
        late, cost = ("violation_seconds", "replica_seconds")
        for field, target in ((late, targets[0]), (cost, targets[1]), ("reversals", None)):
            ours, peer = _each(table, sloq, field), _each(other, hpa, field)
            name = f"start-up of {startup:g} s: {field.replace('_', '-')} against {title}"
            yield _estimated(name, ours, peer, target)


def _drawn(number: int) -> tuple[Trace, System, int]:
    one = draws.draw(number)
    return one.trace, one.system, number


def _each(table: Scores, policies: Mapping[str, str], field: str) -> list[float]:
    """Of each draw; violations are the avoidable ones."""
    if field == "violation_seconds":
        return [one for case, policy in policies.items() for one in avoidable(table, policy, case)]
    return [one for case, policy in policies.items() for one in values(table[policy, case], field)]


def _estimated(
    name: str, ours: Sequence[float], peer: Sequence[float], target: float | None
) -> Result:
    """Means over the draws, with the ratio of their sums and its interval."""
    mean = [sum(each) / len(each) for each in (ours, peer)]
    measured = result(name, mean[:1], mean[1:], unit="", target=target)
    if measured.ratio is None:
        return measured
    found = bootstrapped(ours, peer)
    return replace(measured, spread=(round(found.low, 3), round(found.high, 3)))


if __name__ == "__main__":
    main()
