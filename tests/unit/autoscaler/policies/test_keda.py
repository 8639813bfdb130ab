"""KEDA and its HPA on an external metric: hand-derived numbers."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tidegate.autoscaler.policies.keda import KedaParameters, keda
from tidegate.autoscaler.types import Signals

NOW = 1000.0
OLD: dict[str, Any] = {"recommendations": [[600, 9]]}  # longer ago than the stabilization window


def asleep(active_at: float, polled_at: float | None = None) -> dict[str, Any]:
    return {**OLD, "active_at": active_at, "polled_at": polled_at}


@dataclass(frozen=True)
class Case:
    """Four slots at 0.5 requests in system each: a replica is worth 2. u = total / (2·held)."""

    name: str
    total: float | None
    held: int
    desired: int
    reason: str
    state: dict[str, Any] = field(default_factory=dict)
    slots: int | None = 4
    options: dict[str, Any] = field(default_factory=dict)


MAY_SLEEP = {"min": 0}
FALLBACK = {"fallback": 6}

CASES = [
    Case("u = 1", 6, 3, 3, "hold"),
    Case("u = 1.083 is within 10 %", 6.5, 3, 3, "hold"),
    Case("u = 1.17: ⌈7 / 2⌉", 7, 3, 4, "up"),
    Case("u = 0.917 is within 10 %", 5.5, 3, 3, "hold"),
    Case("u = 0.83: ⌈5 / 2⌉ is what there is", 5, 3, 3, "hold"),
    Case("2 would do, but 3 were found at the start", 3.9, 3, 3, "stabilized"),
    Case("a recommendation of 301 s ago is forgotten", 3.9, 3, 2, "down", {"recommendations": [[699, 3]]}),
    Case("300 s ago is too", 3.9, 3, 2, "down", {"recommendations": [[700, 3]]}),
    Case("299 s ago is not", 3.9, 3, 3, "stabilized", {"recommendations": [[701, 3]]}),
    Case("the largest counts", 2, 4, 3, "down", {"recommendations": [[800, 3], [900, 2]]}),
    Case("stabilization never adds", 3.9, 3, 3, "stabilized", {"recommendations": [[900, 8]]}),
    Case("20 wanted, max(2·1, 1 + 4) = 5 allowed", 40, 1, 5, "up"),
    Case("30 wanted, max(2·10, 10 + 4) = 20 allowed", 60, 10, 20, "up"),
    Case("4 came 10 s ago: of 1 then, 5 are allowed", 40, 5, 5, "hold", {"changes": [[990, 4]]}),
    Case("15 s ago they are forgotten: of 5, 10 are", 40, 5, 10, "up", {"changes": [[985, 4]]}),
    Case("50 wanted, 40 allowed, the maximum is 30", 100, 20, 30, "up"),
    Case("0 wanted, the minimum is 2", 0, 3, 2, "down", OLD, options={"min": 2}),
    Case("at the minimum fewer are wanted in vain", 0, 1, 1, "stabilized", OLD),
    Case("not active for 400 s: none", 0, 2, 0, "down", asleep(600), options=MAY_SLEEP),
    Case("300 s: not yet; the HPA's least is 1", 0, 2, 1, "down", asleep(700), options=MAY_SLEEP),
    Case("active now: not idle", 1, 2, 1, "down", asleep(600), options=MAY_SLEEP),
    Case("not polled for 10 s: idle still", 1, 2, 0, "down", asleep(600, 990), options=MAY_SLEEP),
    Case("from none to one when active", 1, 0, 1, "up", asleep(600), options=MAY_SLEEP),
    Case("none stays none when idle", 0, 0, 0, "hold", asleep(600), options=MAY_SLEEP),
    Case("polled 10 s ago: not seen yet", 1, 0, 0, "hold", asleep(600, 990), options=MAY_SLEEP),
    Case("polled 30 s ago: seen", 1, 0, 1, "up", asleep(600, 970), options=MAY_SLEEP),
    Case("5 does not activate at 5", 5, 0, 0, "hold", asleep(600), options={"min": 0, "activation": 5}),
    Case("6 is", 6, 0, 1, "up", asleep(600), options={"min": 0, "activation": 5}),
    Case("no metric, no fallback: held", None, 3, 3, "no-signal"),
    Case("the third failure: held", None, 3, 3, "no-signal", {"failures": 2}, options=FALLBACK),
    Case("the fourth: as if 2·6 were in system", None, 3, 6, "up", {"failures": 3}, options=FALLBACK),
    Case("fewer by fallback are stabilized too", None, 9, 9, "stabilized", {"failures": 3}, options=FALLBACK),
    Case("and come in the end", None, 9, 6, "down", {"failures": 3, **OLD}, options=FALLBACK),
    Case("no slots known: held", 9, 3, 3, "no-signal", slots=None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keda_gives_the_hand_derived_number(case: Case) -> None:
    own = {"min": 1, "max": 30, "inflight": 0.5, **case.options}
    held = case.held
    seen = Signals(None, None, case.total, case.slots, held, held, held, None, 1.0)
    decision = keda(KedaParameters(**own))(case.state, seen, NOW)
    assert (decision.desired, decision.reason) == (case.desired, case.reason)


def test_a_recovered_metric_is_a_poll_and_resets_the_failures() -> None:
    seen = Signals(None, None, 6.0, 4, 3, 3, 3, None, 1.0)
    after = keda(KedaParameters(1, 30, fallback=6))({"failures": 9}, seen, NOW).state
    assert (after["failures"], after["polled_at"]) == (0, NOW)
