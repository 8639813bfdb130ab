"""Ray Serve's autoscaling: hand-derived numbers."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.autoscaler.policies.ray_serve import RayServeParameters, ray_serve
from tidegate.autoscaler.types import Signals

NOW = 1000.0


@dataclass(frozen=True)
class Case:
    """A replica is worth 2 ongoing requests. A tick is 5 s: up at the 7th in a row, down at the 121st."""

    name: str
    in_system: float | None
    ready: int
    desired: int
    count_after: int
    count: int = 0
    held: int = -1  # as ready
    before: list[list[float]] = field(default_factory=list)
    slots: int | None = 4
    options: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("2 / 2 = 1: as many as there are", 2, 1, 1, 0),
    Case("⌈3 / 2⌉ = 2 wanted for the first time", 3, 1, 1, 1),
    Case("for the seventh: 30 s have passed", 3, 1, 2, 0, count=6),
    Case("more after fewer starts over", 3, 1, 1, 1, count=-50),
    Case("1 of 3 wanted for the first time", 2, 3, 3, -1),
    Case("for the 121st: 600 s have passed", 2, 3, 1, 0, count=-120),
    Case("fewer after more starts over", 2, 3, 3, -1, count=5),
    Case("enough starts over", 6, 3, 3, 0, count=5),
    Case("enough starts over on the way down too", 6, 3, 3, 0, count=-100),
    Case("from one to none, if that is allowed", 0, 1, 0, 0, count=-120, options={"min": 0}),
    Case("but not from three to none", 0, 3, 1, 0, count=-120, options={"min": 0}),
    Case("half way up: 2 + (6 - 2)/2", 12, 2, 4, 0, count=6, options={"up_factor": 0.5}),
    Case("twice the way up: 2 + 2·(3 - 2)", 6, 2, 4, 0, count=6, options={"up_factor": 2}),
    Case("half way down: ⌈4 - 3/2⌉", 2, 4, 3, 0, count=-120, options={"down_factor": 0.5}),
    Case("down by one where a factor leads nowhere", 6, 4, 3, 0, -120, options={"down_factor": 0.1}),
    Case("⌈3.5⌉ = 4 is not down", 7, 4, 4, 0, count=-120, options={"down_factor": 0.1}),
    Case("ready replicas are counted, 4 wanted of 5 asked for", 8, 2, 5, -1, held=5),
    Case("10 wanted of 5 asked for", 20, 2, 5, 1, held=5),
    Case("50 wanted, the maximum is 30", 100, 10, 30, 0, count=6),
    Case("at the maximum nothing more is wanted", 100, 30, 30, 0, count=6),
    Case("the mean of 10 and 2 is enough for 3", 2, 3, 3, 0, before=[[980, 10]]),
    Case("a sample of 30 s ago is out of the window", 2, 3, 3, -1, before=[[970, 10]]),
    Case("one of 29 s ago is in", 2, 3, 3, 0, before=[[971, 10]]),
    Case("a slower tick counts fewer: the 4th of 10 s", 3, 1, 2, 0, 3, options={"tick_seconds": 10}),
    Case("the 3rd of 10 s is too early", 3, 1, 1, 3, 2, options={"tick_seconds": 10}),
    Case("without delay at once", 3, 1, 2, 0, options={"up_delay_seconds": 0}),
    Case("none ready: held", 9, 0, 3, 4, count=4, held=3),
    Case("no metric: held", None, 4, 4, 4, count=4),
    Case("no slots known: held", 2, 4, 4, 0, slots=None),
    Case("held beyond the maximum", None, 4, 30, 0, held=40),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ray_serve_gives_the_hand_derived_number(case: Case) -> None:
    own = {"min": 1, "max": 30, **case.options}
    held = case.ready if case.held < 0 else case.held
    seen = Signals(None, None, case.in_system, case.slots, case.ready, case.ready, held, None, 1.0)
    state = {"samples": case.before, "count": case.count}
    decision = ray_serve(RayServeParameters(**own))(state, seen, NOW)
    assert (decision.desired, decision.state["count"]) == (case.desired, case.count_after)
