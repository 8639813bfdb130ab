"""The proof that the simulation can see: it finds each of the defects that were put in by hand."""

from __future__ import annotations

import pytest

from simulation.loop.defects import DEFECTS, FOUND_BY, defect
from simulation.loop.run import run, simulated
from simulation.loop.schedule import draw

# A change of the production code moves what a seed leads to: the next ones find the defect then.
FURTHER_SEEDS = 150


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str) -> None:
    seed, invariant = FOUND_BY[name]
    with simulated(), defect(name):
        seeds = range(seed, seed + FURTHER_SEEDS)
        assert any(run(draw(one)).invariant == invariant for one in seeds), name
