"""What the sentence of each tick says is so: its numbers are those of the signals and inputs of the tick."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest

from support.explanations import SLOQ, Told, faults
from tidegate.autoscaler.types import Bounds
from tidegate.lab.simulator.comparison import TraceSpec, run_one
from tidegate.lab.simulator.system import System

TRACES = (
    *("steady", "spike", "sawtooth", "slowdown", "outage", "idle-then-burst", "batches", "steps"),
    *("bursts-irregular", "lost-metrics", "flash-20x"),
)
SYSTEM = System(bounds=Bounds(2, 12))


@lru_cache
def ticks(name: str) -> list[tuple[str, Told]]:
    # `steps` with a replica that has half of the slots that it reports.
    system = replace(SYSTEM, slots=2, reported_slots=4) if name == "steps" else SYSTEM
    found: list[tuple[str, Told]] = []
    for tick in run_one("sloq", TraceSpec(name), system, 0).ticks:
        before = [told for _, told in found[-60:]]
        decision = tick.decision
        told = Told(tick.at, tick.signals, decision.desired, decision.inputs, before)
        found.append((decision.explanation, told))
    return found


@pytest.mark.parametrize("name", TRACES)
def test_every_number_of_a_sentence_is_that_of_its_tick(name: str) -> None:
    wrong = [one for text, told in ticks(name) for one in faults(text, told, SLOQ, set())]
    assert wrong == []
