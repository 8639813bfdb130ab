"""The HPA v2 policy: hand-derived numbers."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tidegate.autoscaler.policies.hpa import HpaParameters, hpa
from tidegate.autoscaler.types import Bounds, Decision, Signals

NOW = 1000.0
WIDE = Bounds(1, 10)


@dataclass(frozen=True)
class Case:
    """Two slots a replica and a target of 0.7 a slot: one replica is worth 1.4 in system.

    In the comments load = in_system / 1.4, u = load / ready, and n₀ is the count 15 s ago.
    """

    name: str
    in_system: float | None
    held: int
    desired: int
    reason: str
    ready: int = -1  # as held
    running: int = -1  # as ready
    state: dict[str, Any] = field(default_factory=dict)
    bounds: Bounds = WIDE
    age: float | None = 1.0
    slots: int | None = 2

    def decide(self) -> Decision:
        ready = self.held if self.ready < 0 else self.ready
        running = ready if self.running < 0 else self.running
        return hpa(HpaParameters(self.bounds.min, self.bounds.max))(
            self.state, signals(self, ready, running), NOW
        )


def signals(case: Case, ready: int, running: int) -> Signals:
    return Signals(
        arrival_rate=30.0,
        service_seconds=0.103,
        in_system=case.in_system,
        slots_per_replica=case.slots,
        ready=ready,
        running=running,
        desired=case.held,
        latency_seconds=0.2,
        age_seconds=case.age,
    )


def recommended(*pairs: tuple[float, int]) -> dict[str, Any]:
    return {"recommendations": [list(pair) for pair in pairs], "changes": []}


def changed(*pairs: tuple[float, int]) -> dict[str, Any]:
    return {"recommendations": [], "changes": [list(pair) for pair in pairs]}


NAN, INF = math.nan, math.inf
CASES = [
    # Tolerance and the formula.
    Case("load 4.2/1.4 = 3, u = 3: ceil 3", 4.2, 1, 3, "up"),
    Case("load 1, u = 1: nothing to do", 1.4, 1, 1, "tolerance"),
    Case("load 1.1, u = 1.1: just within", 1.54, 1, 1, "tolerance"),
    Case("load 1.55/1.4 = 1.107, u = 1.107: ceil 2", 1.55, 1, 2, "up"),
    Case("load 0.9, u = 0.9: just within", 1.26, 1, 1, "tolerance"),
    Case("load 5/1.4 = 3.571, u = 0.893: ceil 4 is what there is", 5.0, 4, 4, "hold"),
    Case("load 7/1.4 = 5 exactly, u = 5/3: ceil 5, not 6", 7.0, 3, 5, "up"),
    Case("load 9.9/1.4 = 7.07, u = 1.77: ceil 8 = 2·4 = 4+4, n₀ = 4", 9.9, 4, 8, "up"),
    Case("one slot a replica: load 4.2/0.7 = 6, u = 2: ceil 6", 4.2, 3, 6, "up", slots=1),
    # Stabilization: down follows the largest recommendation of 300 s, t > 700.
    Case("load 2.93: 3, but 4 is recommended now by the start", 4.1, 4, 4, "stabilized"),
    Case("load 2.93: 3, 3 since 900", 4.1, 4, 3, "down", state=recommended((900.0, 3))),
    Case("load 2.93: 3, 9 at 699 is over", 4.1, 4, 3, "down", state=recommended((699.0, 9))),
    Case("load 2.93: 3, 9 at 700 is over", 4.1, 4, 3, "down", state=recommended((700.0, 9))),
    Case("load 2.93: 3, 9 at 701 holds", 4.1, 4, 4, "stabilized", state=recommended((701.0, 9))),
    Case("load 1: 1, 4 at 800: down to 4", 1.4, 6, 4, "down", state=recommended((800.0, 4))),
    Case("load 1: 1, 5 and 3: the larger counts", 1.4, 6, 5, "down",
         state=recommended((800.0, 5), (900.0, 3))),
    Case("load 3: the past does not slow up", 4.2, 1, 3, "up", state=recommended((900.0, 1))),
    # Limit of a rise: max(2·n₀, n₀ + 4).
    Case("load 39.3: 40, n₀ = 1: max(2, 5)", 55.0, 1, 5, "up"),
    Case("load 39.3: 40, n₀ = 3: max(6, 7)", 55.0, 3, 7, "up"),
    Case("load 39.3: 40, n₀ = 5: max(10, 9)", 55.0, 5, 10, "up", bounds=Bounds(1, 99)),
    Case("load 39.3: 40, +4 at 990: n₀ = 1, so 5 is all", 55.0, 5, 5, "limited", state=changed((990.0, 4))),
    Case("load 39.3: 40, +4 at 985 is 15 s ago: n₀ = 5: max(10, 9)", 55.0, 5, 10, "up",
         state=changed((985.0, 4)), bounds=Bounds(1, 99)),
    Case("load 39.3: 40, +4 at 990 was decided and not applied: n₀ = 5", 55.0, 5, 10, "up",
         state=changed((990.0, 4)) | {"asked": 9}, bounds=Bounds(1, 99)),
    Case("load 14.3: 15, -2 at 990: n₀ = 4: max(8, 8)", 20.0, 2, 8, "up", state=changed((990.0, -2))),
    Case("load 39.3: 40, +1 at 990, +2 at 995: n₀ = 1: max(2, 5)", 55.0, 4, 5, "up",
         state=changed((990.0, 1), (995.0, 2))),
    # Bounds come last.
    Case("load 39.3: 40, 5 allowed, at most 3", 55.0, 1, 3, "up", bounds=Bounds(1, 3)),
    Case("load 39.3: 40, the maximum is reached", 55.0, 3, 3, "limited", bounds=Bounds(1, 3)),
    Case("load 1, u = 1, but at least 7: beyond max(2, 5)", 1.4, 1, 7, "up", bounds=Bounds(7, 9)),
    Case("idle: 0, at least 1, as there is", 0.0, 1, 1, "hold"),
    Case("idle: 0 since 900, at least 1", 0.0, 3, 1, "down", state=recommended((900.0, 0))),
    Case("idle: 0, but 3 at the start", 0.0, 3, 3, "stabilized"),
    # Replicas that are not ready: idle when up, as targeted when down; never reverse.
    Case("load 4, u = 4, all 4/3: ceil 4", 5.6, 3, 4, "up", ready=1, running=3),
    Case("load 2, u = 2, all 2/3: the other way", 2.8, 3, 3, "hold", ready=1, running=3),
    Case("load 3, u = 3, all 3/3 = 1", 4.2, 3, 3, "tolerance", ready=1, running=3),
    Case("load 3.2, u = 3.2, all 3.2/3 = 1.07", 4.48, 3, 3, "tolerance", ready=1, running=3),
    Case("load 1, u = 1/2, (1+1)/3 = 0.67: ceil 2", 1.4, 3, 2, "down",
         ready=2, running=3, state=recommended((900.0, 2))),
    Case("load 0, u = 0, (0+2)/3 = 0.67: ceil 2", 0.0, 3, 2, "down",
         ready=1, running=3, state=recommended((900.0, 2))),
    Case("load 2, u = 1, (2+1)/3 = 1", 2.8, 3, 3, "tolerance", ready=2, running=3),
    Case("load 1.93, u = 0.964, 2.93/3 = 0.98", 2.7, 3, 3, "tolerance", ready=2, running=3),
    Case("load 2, u = 2: ceil 2, but 5 are asked for", 2.8, 5, 5, "hold", ready=1, running=1),
    Case("load 4, u = 0.8: ceil 4, but 2 are asked for", 5.6, 2, 2, "hold", ready=5, running=5),
    Case("none of two is ready", 55.0, 2, 2, "hold", ready=0, running=2),
    Case("none runs", 55.0, 2, 2, "no-signal", ready=0, running=0),
    # Bad signals: hold; only bounds move the number.
    Case("missing", None, 3, 3, "no-signal", state=recommended((900.0, 1))),
    Case("not a number", NAN, 3, 3, "no-signal", state=recommended((900.0, 1))),
    Case("negative", -1.0, 3, 3, "no-signal", state=recommended((900.0, 1))),
    Case("age unknown", 0.0, 3, 3, "no-signal", age=None, state=recommended((900.0, 1))),
    Case("age 15.1 s is stale", 0.0, 3, 3, "no-signal", age=15.1, state=recommended((900.0, 1))),
    Case("age 15 s is not: load 3: ceil 3", 4.2, 1, 3, "up", age=15.0),
    Case("slots unknown", 4.2, 1, 1, "no-signal", slots=None),
    Case("missing, at least 2", None, 1, 2, "no-signal", bounds=Bounds(2, 10)),
    Case("more than can be counted", 1e308, 1, 5, "up"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_number_and_its_reason(case: Case) -> None:
    decision = case.decide()
    assert (decision.desired, decision.reason) == (case.desired, case.reason)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case("", 4.2, 1, 0, ""), "1 → 3: 4.2 requests in the system over 2 slots is 2.1 per slot"),
        (Case("", 4.2, 4, 0, ""), "3 would be enough, but 4 is the largest recommendation of the last 300 s"),
        (Case("", 55, 1, 0, "", bounds=Bounds(1, 3)), "40 wanted, 5 allowed within 15 s; the maximum is 3"),
        (Case("", 2.8, 3, 0, "", ready=1, running=3), "2 more are starting, which is enough"),
        (Case("", 0, 1, 0, ""), "0 per slot, target 0.7; the minimum is 1"),
        (Case("", 1, 2, 0, "", age=23), "2 held: the signals are 23 s old, more than 15 s"),
    ],
    ids=str,
)  # fmt: skip
def test_the_explanation_says_what_was_decided_and_why(case: Case, words: str) -> None:
    assert words in case.decide().explanation


def test_the_problem_with_signals_is_in_the_explanation() -> None:
    recorded = replace(signals(CASES[0], 1, 1), in_system=None, problem="Prometheus is too slow")
    assert hpa(HpaParameters(1, 9))({}, recorded, NOW).explanation == (
        "1 held: the requests in the system are not known (Prometheus is too slow)"
    )


def test_a_number_held_without_signals_is_a_recommendation_of_it() -> None:
    decide = hpa(HpaParameters(1, 9))
    good = signals(Case("", 0.0, 3, 0, ""), 3, 3)
    blind = decide(recommended((900.0, 0)), replace(good, in_system=None), NOW)
    # 299 s after the last blind tick it still holds; 300 s after, it is over.
    assert decide(blind.state, good, NOW + 299).desired == 3
    assert decide(blind.state, good, NOW + 300).desired == 1


def test_the_state_drops_what_cannot_matter_any_more() -> None:
    decide = hpa(HpaParameters(1, 99))
    state = {
        "recommendations": [[500.0, 9], [800.0, 8], [850.0, 2], [870.0, 4], [900.0, 3]],
        "changes": [[900.0, 1], [990.0, 2]],
    }
    # load 4.2/1.4 = 3, u = 0.375: 3; largest since 700 is 8. 2 and 3 are not above the new 3.
    decision = decide(state, signals(Case("", 4.2, 8, 0, ""), 8, 8), NOW)
    assert decision.state == {
        "recommendations": [[800.0, 8], [870.0, 4], [NOW, 3]],
        "changes": [[990.0, 2]],
        "asked": 8,
    }
    # load 14/1.4 = 10, u = 1.25: 10; n₀ = 8 - 2 = 6: at most 12.
    decision = decide(state, signals(Case("", 14.0, 8, 0, ""), 8, 8), NOW)
    assert decision.state == {
        "recommendations": [[NOW, 10]],
        "changes": [[990.0, 2], [NOW, 2]],
        "asked": 10,
    }


def test_the_mean_over_a_minute_is_used_if_asked_for() -> None:
    seen = replace(signals(Case("", 9.0, 2, 0, ""), 2, 2), in_system_60s=2.8)
    assert hpa(HpaParameters(1, 9))({}, seen, NOW).desired == 6
    mean = hpa(HpaParameters(1, 9, minute_mean=1))
    assert mean({}, seen, NOW).desired == 2
    assert mean({}, replace(seen, in_system_60s=None), NOW).reason == "no-signal"
