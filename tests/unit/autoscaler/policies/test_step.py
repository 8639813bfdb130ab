"""Step scaling: hand-derived numbers."""

import math
from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.autoscaler.policies.step import StepParameters, step
from tidegate.autoscaler.types import Signals

NOW = 1000.0


@dataclass(frozen=True)
class Case:
    """Four slots a replica: usage = in system / (4·ready); up above 0.85, down below 0.4."""

    name: str
    in_system: float | None
    ready: int
    desired: int
    reason: str
    stepped_at: float | None = None
    held: int = -1  # as ready
    slots: int | None = 4
    options: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("7 / 8 = 0.875: one more", 7, 2, 3, "up"),
    Case("6 / 8 = 0.75: as it is", 6, 2, 2, "hold"),
    Case("17 / 20 = 0.85 is not above it", 17, 5, 5, "hold"),
    Case("18 / 20 = 0.9 is", 18, 5, 6, "up"),
    Case("8 / 20 = 0.4 is not below it", 8, 5, 5, "hold"),
    Case("7 / 20 = 0.35 is", 7, 5, 4, "down"),
    Case("0: one fewer", 0, 5, 4, "down"),
    Case("0 at the minimum", 0, 1, 1, "hold"),
    Case("100 at the maximum", 1000, 30, 30, "hold"),
    Case("however much: one more", 1000, 3, 4, "up"),
    Case("10 s after a step: not yet up", 8, 2, 2, "hold", stepped_at=990),
    Case("59 s after", 8, 2, 2, "hold", stepped_at=941),
    Case("60 s after", 8, 2, 3, "up", stepped_at=940),
    Case("60 s after, down", 0, 2, 1, "down", stepped_at=940),
    Case("a shorter pause", 8, 2, 3, "up", stepped_at=990, options={"every_seconds": 10}),
    Case("a longer pause", 8, 2, 2, "hold", stepped_at=900, options={"every_seconds": 120}),
    Case("ready ones are counted: 8 / 4 = 2", 8, 1, 4, "up", held=3),
    Case("more ready than asked for: 8 / 24", 8, 6, 4, "down", held=5),
    Case("other thresholds, up", 5, 2, 3, "up", options={"above": 0.6}),
    Case("one slot: 2 / 2 = 1", 2, 2, 3, "up", slots=1),
    Case("a higher minimum", 0, 3, 3, "hold", options={"min": 3}),
    Case("below a higher minimum", 6, 2, 3, "up", options={"min": 3}),
    Case("above a lower maximum", 30, 8, 5, "down", options={"max": 5}),
    Case("none ready: held", 8, 0, 2, "no-signal", held=2),
    Case("no metric: held", None, 4, 4, "no-signal"),
    Case("not a number: held", math.nan, 4, 4, "no-signal"),
    Case("infinite: held", math.inf, 4, 4, "no-signal"),
    Case("less than none: held", -1, 4, 4, "no-signal"),
    Case("no slots known: held", 2, 4, 4, "no-signal", slots=None),
    Case("no slots at all: held", 2, 4, 4, "no-signal", slots=0),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_step_gives_the_hand_derived_number(case: Case) -> None:
    own = {"min": 1, "max": 30, **case.options}
    held = case.ready if case.held < 0 else case.held
    seen = Signals(None, None, case.in_system, case.slots, case.ready, case.ready, held, None, 1.0)
    decision = step(StepParameters(**own))({"stepped_at": case.stepped_at}, seen, NOW)
    assert (decision.desired, decision.reason) == (case.desired, case.reason)
    stepped = NOW if decision.desired != held else case.stepped_at
    assert decision.state == {"stepped_at": stepped}
