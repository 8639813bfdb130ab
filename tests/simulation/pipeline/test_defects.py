"""Defects that are put into production code: the simulation finds each of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from .defects import DEFECTS, built_in
from .schedule import draw
from .seeds import try_seed, violation


@pytest.mark.parametrize("name", DEFECTS)
def test_a_defect_is_found(name: str) -> None:
    with built_in(name):
        assert violation(draw(DEFECTS[name].seed)) != ""


def test_a_failure_names_the_shortest_schedule_that_fails_and_how_to_repeat_it() -> None:
    name = "the offset is one byte too high"
    with built_in(name):
        failure = try_seed(DEFECTS[name].seed)
        assert failure is not None
        records = failure.shortest.records
        for left_out in range(len(records)):
            rest = (*records[:left_out], *records[left_out + 1 :])
            assert violation(replace(failure.shortest, records=rest)) == ""
    assert f"python -m tests.simulation --seed {failure.seed}" in str(failure)
