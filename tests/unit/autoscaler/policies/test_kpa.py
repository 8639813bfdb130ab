"""Knative's KPA: hand-derived numbers."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.autoscaler.policies.kpa import KpaParameters, kpa
from tidegate.autoscaler.types import Signals

NOW = 1000.0
Samples = list[list[float]]


def level(value: float, *, lately: float | None = None) -> Samples:
    """29 samples of the stable window; the last two are of the panic window, with that of now."""
    last = value if lately is None else lately
    return [[float(at), value if at < 995 else last] for at in range(942, 1000, 2)]


@dataclass(frozen=True)
class Case:
    """Four slots and a target of 50 %: a replica is worth 2 requests in system.

    The stable window holds 30 samples, the panic window 3 of them, each with that of now.
    """

    name: str
    in_system: float | None
    ready: int
    before: Samples
    desired: int
    mode: str = "stable"
    since: float | None = None
    most: int = 0
    held: int = -1  # as ready
    slots: int | None = 4
    options: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] | None = None


CASES = [
    Case("idle: 0 wanted, the minimum is 1", 0, 1, level(0), 1),
    Case("idle, and none is allowed", 0, 1, level(0), 0, options={"min": 0}),
    Case("2 / 2 = 1: exactly at the target", 2, 1, level(2), 1),
    Case("⌈2.1 / 2⌉ = 2, and 2 / 1 is the panic threshold", 2.1, 1, level(2.1), 2, "panic"),
    Case("the same below a threshold of 3", 2.1, 1, level(2.1), 2, options={"panic_threshold": 3}),
    Case("⌈6.2 / 2⌉ = 4 by the stable window, 4 / 3 < 2", 6.2, 3, level(6.2), 4),
    Case("4 / 2 = 2, down by one", 4, 3, level(4), 2),
    Case("at least ⌊8 / 2⌋ stay", 0, 8, level(0), 4),
    Case("all may leave at a down rate above them", 0, 8, level(0), 1, options={"max_down_rate": 9}),
    Case("20 wanted, at most 2·3", 40, 3, level(40), 6, "panic", options={"max_up_rate": 2}),
    Case("3 wanted, at most ⌈1.1·2⌉ = 3", 6, 2, level(6), 3, options={"max_up_rate": 1.1}),
    Case("12 now: 4 over 6 s are 2 of 1: panic", 12, 1, level(0), 2, "panic"),
    Case("60 now: 20 over 6 s are 10 of 5: panic", 60, 5, level(0), 10, "panic"),
    Case("none leaves in panic", 2, 7, level(2), 7, "panic", since=980, most=7),
    Case("more may come in panic", 20, 7, level(20), 10, "panic", since=980, most=7),
    Case("panic ends after 60 s, not at 60 s", 2, 7, level(2), 7, "panic", since=940, most=7),
    Case("61 s after its last cause it has ended", 2, 7, level(2), 3, since=939, most=7),
    Case("20 / 7 > 2 prolongs it", 40, 7, level(40), 20, "panic", since=950, most=7),
    Case("a new cause when it would end", 40, 7, level(40), 20, "panic", since=939, most=7),
    Case(
        "in panic the stable window counts if it wants more: 27·40 / 30 = 36",
        0,
        10,
        level(40, lately=0),
        18,
        "panic",
        since=990,
        most=10,
    ),
    Case("it starts in panic with 3: without history it must not shrink", 0, 3, [], 3, "panic", state={}),
    Case("it starts calm with 1", 0, 1, [], 1, state={}),
    Case("no replica ready counts as one", 0, 0, [], 1, held=1, state={}),
    Case("⌈5 / 2⌉ = 3 of none ready: panic", 5, 0, level(5), 3, "panic", held=1),
    Case("50 wanted, the maximum is 30", 100, 20, level(100), 30, "panic"),
    Case("a sample of 60 s ago is out of the window", 2, 1, [[940, 1000]], 1),
    Case("one of 59 s ago is in: (58 + 2) / 2 = 30", 2, 10, [[941, 58]], 15),
    Case("a sample of 6 s ago is out of the panic window", 2, 3, [[994, 100]], 26),
    Case("no metric: held", None, 4, level(2), 4, ""),
    Case("no slots known: held", 2, 4, level(2), 4, "", slots=None),
    Case("held beyond the maximum", None, 4, level(2), 30, "", held=40),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_kpa_gives_the_hand_derived_number(case: Case) -> None:
    own = {"min": 1, "max": 30, "target_utilisation": 0.5, **case.options}
    state = {"samples": case.before, "panic_since": case.since, "panic_most": case.most}
    held = case.ready if case.held < 0 else case.held
    seen = Signals(None, None, case.in_system, case.slots, case.ready, case.ready, held, None, 1.0)
    decision = kpa(KpaParameters(**own))(state if case.state is None else case.state, seen, NOW)
    assert (decision.desired, decision.inputs.get("mode", "")) == (case.desired, case.mode)
    assert (decision.reason == "no-signal") == (case.mode == "")


def test_an_ended_panic_does_not_affect_later_decisions() -> None:
    decide = kpa(KpaParameters(1, 30))
    state = {"samples": level(2), "panic_since": 900.0, "panic_most": 20}
    after = decide(state, Signals(None, None, 2, 4, 3, 3, 3, None, 1.0), NOW).state
    assert (after["panic_since"], after["panic_most"]) == (None, 0)


def test_a_start_without_metrics_still_begins_in_panic_mode() -> None:
    decide = kpa(KpaParameters(1, 30))
    blind = decide({}, Signals(None, None, None, 4, 3, 3, 3, None, None), NOW)
    after = decide(blind.state, Signals(None, None, 0, 4, 3, 3, 3, None, 1.0), NOW + 2)
    assert (after.desired, after.inputs["mode"]) == (3, "panic")
