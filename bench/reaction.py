"""From a jump of the load to the replicas that answer it, step by step, on a live stack.

    python -m bench.reaction            jumps of 2, 5 and 20 times at 1, 30 and 300 requests/s; 6 minutes
    python -m bench.reaction --quick    two of them
    python -m bench.reaction --json before.json      in a checkout of another version, with this file
    python -m bench.reaction --before before.json    that version's figures stand beside these

Each jump has a stack of its own with the simulated device, one replica, and an open loop of Poisson arrivals.
Before the jump the replica is busy for at most half of its slots, and after it three replicas' slots are
needed at most. It counts seconds from the jump until the first decision that adds a replica, until a new
replica's first answer, and until p95 of each two seconds is within the objective and stays there. What did
not happen counts as the whole time, and the name says so. A rate that the machine cannot send is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.results import Result, result, save
from bench.running.measured import LiveRun, measure

# By requests a second before the jump: the slots of a replica.
SLOTS: Final = {1: 1, 30: 4, 300: 8}
FACTORS: Final = (2, 5, 20)
BASE_BUSY: Final = 0.5
REPLICAS_NEEDED: Final = 3.0
MOST_REPLICAS: Final = 6
# Sender, gateway, replicas and pipeline together take about 2 ms of CPU for a request.
RATE_PER_CORE: Final = 400
STEADY_SECONDS, JUMP_SECONDS = 12, 20
BIN_SECONDS: Final = 2.0
QUANTILE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Jump:
    """A load that becomes `factor` times as high."""

    base: int
    factor: int

    @property
    def rate(self) -> int:
        """Requests a second after the jump."""
        return self.base * self.factor

    @property
    def slot_seconds(self) -> float:
        """The time of a request in its slot."""
        busy = min(BASE_BUSY, REPLICAS_NEEDED / self.factor)
        return busy * SLOTS[self.base] / self.base

    @property
    def objective_seconds(self) -> float:
        """For p95 of the responses; a request that needs no wait has a third of it."""
        return round(max(0.1, 3 * self.slot_seconds), 3)

    @property
    def cannot_be_sent(self) -> str:
        """Why this machine cannot send it; empty if it can."""
        cores = os.cpu_count() or 1
        if self.rate <= RATE_PER_CORE * cores:
            return ""
        return f"{self.rate} requests/s are more than {RATE_PER_CORE} for each of {cores} cores"

    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings of the stack."""
        kinds = ("light_seconds", "medium_seconds", "heavy_seconds")
        return {
            "device": {"simulated": True, **dict.fromkeys(kinds, self.slot_seconds)},
            "slots": {"per_replica": SLOTS[self.base]},
            "slo": {"latency_seconds": self.objective_seconds, "latency_quantile": QUANTILE},
            "replicas": {"start": 1, "min": 1, "max": MOST_REPLICAS},
        }

    def scenario(self) -> str:
        """The load in loadgen's TOML."""
        lines = ['name = "jump"', 'arrivals = "poisson"']
        for seconds, rate in ((STEADY_SECONDS, self.base), (JUMP_SECONDS, self.rate)):
            lines += ["[[phases]]", 'kind = "constant"', f"seconds = {seconds}", f"rate = {rate}"]
        return "\n".join(lines)


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1 → 5 and 30 → 150 requests/s only")
    parser.add_argument("--json", type=Path, help="write the seconds of each step to this file")
    parser.add_argument("--before", type=Path, help="such a file of another version")
    parser.add_argument("--port", type=int, default=0, help="the first of 20 free ports")
    arguments = parser.parse_args()
    jumps = [Jump(base, factor) for base, factor in product(SLOTS, FACTORS)]
    if arguments.quick:
        jumps = [jump for jump in jumps if jump.factor == 5 and jump.base < 300]
    before = json.loads(arguments.before.read_text()) if arguments.before else {}
    found: dict[str, float] = {}
    for jump in jumps:
        title = f"{jump.base} → {jump.rate} requests/s"
        if why := jump.cannot_be_sent:
            print(f"{title}: left out, since {why}", flush=True)
            continue
        run = asyncio.run(
            measure("jump", jump.scenario(), "sloq", jump.settings(), port=arguments.port, seed=1)
        )
        steps = steps_of(run, jump)
        late = f"; sent late by {1000 * run.lag_p99:.0f} ms (p99)" if run.lag_p99 > 0.01 else ""
        shown = ", ".join(f"{name} {_text(seconds)}" for name, seconds in steps.items())
        counts = f"{len(run.arrivals)} requests, {run.failed} failed"
        print(f"{title}: {shown}; {counts}{late}", file=sys.stderr, flush=True)
        for name, seconds in steps.items():
            found[f"{title}: {name}"] = JUMP_SECONDS if seconds is None else seconds
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    save(
        "reaction",
        list(results_of(found, before)),
        whole=not arguments.quick and not arguments.json,
    )


def steps_of(run: LiveRun, jump: Jump) -> dict[str, float | None]:
    """The seconds since the jump until each step; None: it did not happen in the run."""
    decided = [at for at, change, _ in run.decisions if at >= STEADY_SECONDS and change > 0]
    first = min(decided, default=None)
    old = {replica for at, replica in run.answers if first is None or at < first}
    new = [at for at, replica in run.answers if replica not in old]
    within = _within_from(np.array(run.arrivals), np.array(run.responses), jump.objective_seconds)
    return {
        "first decision": _since(first),
        "first answer of a new replica": _since(min(new, default=None)),
        "p95 within the objective": within,
    }


def _within_from(arrivals: Any, responses: Any, objective: float) -> float | None:
    """Since when p95 of what arrives within two seconds is within the objective until the end."""
    numbers = ((arrivals - STEADY_SECONDS) // BIN_SECONDS).astype(int)
    last = -1
    for number in np.unique(numbers[numbers >= 0]).tolist():
        if np.quantile(responses[numbers == number], QUANTILE, method="inverted_cdf") > objective:
            last = number
    found = (last + 1) * BIN_SECONDS
    return found if found < JUMP_SECONDS - BIN_SECONDS else None


def results_of(found: Mapping[str, float], before: Mapping[str, float]) -> Iterator[Result]:
    """The seconds of each step, beside those of the other version."""
    for name, seconds in found.items():
        none = " (not within the run)" if seconds == JUMP_SECONDS else ""
        peer = [before[name]] if name in before else None
        yield result(name + none, [seconds], peer, unit="s")


def _since(at: float | None) -> float | None:
    return None if at is None else round(at - STEADY_SECONDS, 2)


def _text(seconds: float | None) -> str:
    return f"not within {JUMP_SECONDS} s" if seconds is None else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
