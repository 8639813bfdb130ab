"""SLOQ against the better HPA, dominance, halves and the claims, on scores of our own."""

from __future__ import annotations

import pytest

from bench.autoscaler.cells import CORE, FLOOR, HPAS, SLOQ
from bench.autoscaler.claims import claims
from bench.autoscaler.comparison import (
    against_hpa,
    better_hpa,
    dominances,
    halves,
)
from tidegate.lab.simulator.score import Score

LAST, MINUTE = HPAS


def scores(violations: list[float], cost: list[float]) -> list[Score]:
    return [Score(late, seconds, 0.0, 0.0) for late, seconds in zip(violations, cost, strict=True)]


def trace(**changes: list[Score]) -> dict[str, list[Score]]:
    """The scores on a trace of three seeds, of which some policies have others."""
    found = {policy: scores([210, 220, 230], [100, 100, 100]) for policy in CORE}
    found[FLOOR] = scores([10, 20, 30], [300, 300, 300])
    found[SLOQ] = scores([60, 70, 80], [80, 80, 80])
    names = {"kpa": "kpa", "sloq": SLOQ, "last": LAST, "minute": MINUTE}
    return {**found, **{names[name]: own for name, own in changes.items()}}


def table(**traces: dict[str, list[Score]]) -> dict[tuple[str, str], list[Score]]:
    return {(policy, name): own for name, found in traces.items() for policy, own in found.items()}


def test_ratios_are_of_what_can_be_avoided() -> None:
    found = against_hpa(table(one=trace()), ["one"])
    # (60 - 10) of (210 - 10), in each seed.
    assert found.violations.value == pytest.approx(0.25)
    assert found.violations.high == pytest.approx(0.25)
    assert found.cost.value == pytest.approx(0.8)
    assert found.excess.value == pytest.approx(70 - 1.1 * 220)


def test_sums_over_traces_use_the_better_hpa_of_each() -> None:
    one = trace(minute=scores([110, 120, 130], [90, 90, 90]))
    other = trace(last=scores([60, 70, 80], [120, 120, 120]))
    found = table(one=one, other=other)
    assert (better_hpa(found, "one"), better_hpa(found, "other")) == (MINUTE, LAST)
    assert against_hpa(found, ["one", "other"]).violations.value == pytest.approx(100 / 150)
    assert against_hpa(found, ["one", "other"]).cost.value == pytest.approx(160 / 210)


def test_the_cheaper_hpa_is_the_better_one_if_they_differ_by_less_than_a_bin() -> None:
    cheap = scores([215, 225, 239], [70, 70, 70])
    assert better_hpa(table(one=trace(minute=cheap)), "one") == MINUTE
    costly = scores([220, 230, 240], [70, 70, 70])
    assert better_hpa(table(one=trace(minute=costly)), "one") == LAST


def test_a_baseline_dominates_surely_only_with_both_intervals() -> None:
    sure = scores([0, 10, 20], [10, 10, 10])
    (found,) = dominances(table(one=trace(kpa=sure)), ["one"])
    assert (found.policy, found.trace, found.sure) == ("kpa", "one", True)
    perhaps = scores([0, 10, 190], [10, 10, 10])
    (found,) = dominances(table(one=trace(kpa=perhaps)), ["one"])
    assert not found.sure
    assert not dominances(table(one=trace(kpa=scores([0, 0, 0], [81, 81, 81]))), ["one"])


def test_settings_are_chosen_on_one_half_and_reported_on_the_other() -> None:
    found = table(a=trace(), b=trace(), c=trace())
    for name in "abc":
        # Better on the first half, a and c; too dear on the other.
        found["good", name] = scores([20, 30, 40], [85 if name in "ac" else 95] * 3)
        found["dear", name] = scores([10, 20, 30], [200, 200, 200])
    first, second = halves(found, ["a", "b", "c"], [SLOQ, "good", "dear"])
    assert (first.chosen, first.on, first.reported) == ("good", ("a", "c"), ("b",))
    assert first.there.cost.value == pytest.approx(0.95)
    assert (second.chosen, second.reported) == (SLOQ, ("a", "c"))
    (only, _) = halves(found, ["a", "b"], ["dear"])
    assert only.chosen == "dear"


def test_the_claims_hold_or_say_where_they_do_not() -> None:
    found = claims(table(one=trace()), ["one"], [])
    assert [claim.verdict for claim in found] == ["holds"] * 4
    worse = trace(sloq=scores([320, 330, 340], [95, 95, 95]))
    texts = {claim.text: claim.verdict for claim in claims(table(one=worse), ["one"], [])}
    assert texts["at most 0.9 × its replica-seconds in sum: 0.95 (0.95 to 0.95)"] == "does not hold"  # noqa: RUF001
    assert (
        "at most 1.1 × the better HPA's violation-seconds on one: 88 (86 to 90) above"  # noqa: RUF001
        in texts
    )


def test_with_one_seed_nothing_holds_but_in_the_mean() -> None:
    alone = {key: own[:1] for key, own in table(one=trace()).items()}
    assert claims(alone, ["one"], [])[0].verdict == "holds in the mean"
