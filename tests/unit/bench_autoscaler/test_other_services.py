"""The lines of the comparison for other services."""

from __future__ import annotations

import pytest

from bench.autoscaler.cells import CORE, FLOOR, SLOQ
from bench.autoscaler.other_services import VARIANTS, Variant, line, scores, specs_for
from tidegate.lab.simulator.named_traces import find_trace
from tidegate.lab.simulator.score import Score
from tidegate.lab.simulator.system import System


def table(
    sloq: tuple[float, float], kpa: tuple[float, float]
) -> dict[tuple[str, str], list[Score]]:
    others = dict.fromkeys(CORE, (210.0, 100000.0))
    found = {**others, FLOOR: (10.0, 300_000.0), SLOQ: sloq, "kpa": kpa}
    return {(policy, "one"): [Score(*pair, 0.0, 0.0)] for policy, pair in found.items()}


@pytest.mark.parametrize(
    ("sloq", "kpa", "cells"),
    [
        ((60.0, 80_000.0), (210.0, 1.0), "10 | 200 · 100 | 50 · 80 | 0.25 | 0.80 | holds"),
        (
            (241.0, 80_000.0),
            (31.0, 70_000.0),
            "10 | 200 · 100 | 231 · 80 | 1.16 | 0.80 | `one` 10 s over; `kpa` better on `one` (-210 s)",
        ),
    ],
)
def test_a_line_has_the_ratios_and_what_does_not_hold(
    sloq: tuple[float, float], kpa: tuple[float, float], cells: str
) -> None:
    assert line("half", table(sloq, kpa)) == f"| half | {cells} |"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_changes_the_service_of_every_trace(name: str) -> None:
    variant = VARIANTS[name]
    for spec in specs_for(variant):
        system = spec.system(System())
        assert spec.peak == pytest.approx(variant.factor * find_trace(spec.name).rates.max())
        if "slots" in variant.given:
            assert system.slots == variant.given["slots"]


def test_scores_are_of_all_policies_on_the_same_traces() -> None:
    found = scores(Variant(0.5), seeds=1, jobs=1, title="half", names=["spike"])
    assert set(found) == {(policy, "spike") for policy in CORE}
    assert found[SLOQ, "spike"][0].requests == found[FLOOR, "spike"][0].requests > 0
