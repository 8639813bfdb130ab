"""The event pipeline under faults that a seed draws: no event is lost or doubled, whatever fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from support.checkout import ROOT
from support.components import AT_NIGHT

from ..nightly import run_seeds_at_night
from .seeds import failing, shortest, trace

PARTS = 8
# About 25 ms of CPU time each: those of the night take three and a half hours on two cores.
SEEDS = 2000
SEEDS_AT_NIGHT = 1_000_000


@pytest.mark.parametrize("part", range(PARTS))
def test_no_seed_breaks_an_invariant(part: int) -> None:
    assert [shortest(seed) for seed, _ in failing(range(part, SEEDS, PARTS))] == []


@AT_NIGHT
def test_no_seed_of_the_night_breaks_an_invariant() -> None:
    run_seeds_at_night("pipeline", SEEDS, SEEDS_AT_NIGHT)


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_makes_the_same_calls_each_time(seed: int) -> None:
    assert trace(seed) == trace(seed)


# One of each sink; the defect lets a power failure take more than a batch of the embedded store.
@pytest.mark.parametrize(("seed", "defect"), [(3, ""), (29, ""), (23, "folders are not flushed")])
def test_a_seed_makes_the_same_calls_in_every_process(seed: int, defect: str) -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", f"{seed}", "--trace"]
    printed = [
        subprocess.run(
            [*command, "--defect", defect],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for hash_seed in ("1", "3")
    ]
    assert printed[0] == printed[1] == "\n".join([*trace(seed, defect), f"seed {seed} holds\n"])
