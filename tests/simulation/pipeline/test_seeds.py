"""The event pipeline under faults that a seed draws: no event is lost or doubled, whatever fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.checkout import ROOT
from support.components import AT_NIGHT

from ..nightly import run_seeds_at_night
from .schedule import draw
from .seeds import first_failure
from .simulation import Simulation

PARTS = 8
# About 25 ms of CPU time each: those of the night take three and a half hours on two cores.
SEEDS = 2000
SEEDS_AT_NIGHT = 1_000_000


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_an_invariant(part: int) -> None:
    assert str(first_failure(range(part, SEEDS, PARTS)) or "") == ""


@AT_NIGHT
def test_no_seed_of_the_night_breaks_an_invariant() -> None:
    run_seeds_at_night("pipeline", SEEDS, SEEDS_AT_NIGHT)


def trace(seed: int) -> list[str]:
    simulation = Simulation(draw(seed), traced=True)
    simulation.run()
    assert simulation.machine.trace is not None
    return simulation.machine.trace


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_makes_the_same_calls_each_time(seed: int) -> None:
    assert trace(seed) == trace(seed)


def test_a_seed_makes_the_same_calls_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", "3", "--trace"]
    printed = [
        subprocess.run(
            command,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == "\n".join([*trace(3), "seed 3 holds\n"])
