"""The control loop under seeds of faults: `python -m tests.simulation --world loop` runs more of them."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

from simulation.loop.run import run, simulated
from simulation.loop.schedule import draw
from simulation.loop.seeds import failing, shortest
from simulation.nightly import run_seeds_at_night
from support.checkout import ROOT
from support.components import AT_NIGHT

# About 75 ms of CPU time each: those of the night take two hours on two cores.
SEEDS = 500
SEEDS_AT_NIGHT = 200_000
TRACED = (6, 40, 204)
DIGESTS = """
import hashlib
from tests.simulation.loop.run import run, simulated
from tests.simulation.loop.schedule import draw
with simulated():
    for seed in SEEDS:
        print(hashlib.sha256("\\n".join(run(draw(seed)).trace).encode()).hexdigest())
"""


def test_no_seed_breaks_an_invariant() -> None:
    assert [shortest(seed) for seed, _ in failing(range(SEEDS))] == []


@AT_NIGHT
def test_no_seed_of_the_night_breaks_an_invariant() -> None:
    run_seeds_at_night("loop", SEEDS, SEEDS_AT_NIGHT)


def test_a_seed_has_the_same_trace_in_each_process() -> None:
    with simulated():
        traces = ["\n".join(run(draw(seed)).trace) for seed in TRACED]
    here = [hashlib.sha256(trace.encode()).hexdigest() for trace in traces]
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS.replace("SEEDS", repr(TRACED))],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == here
