"""Erlang's formulas, against exact arithmetic and against what must hold."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.sloq.queueing import erlang_b, erlang_c, slots_needed, wait_exceeds

LOADS = st.floats(0.01, 200)
COUNTS = st.integers(1, 300)


def textbook_c(slots: int, load: Fraction) -> float:
    """Erlang C as it stands in textbooks, without rounding."""
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    return float(last / (sum(load**n / math.factorial(n) for n in range(slots)) + last))


@pytest.mark.parametrize(
    ("slots", "load"), [(1, "1/2"), (2, "1"), (5, "3"), (10, "9"), (40, "35"), (150, "149/1")]
)
def test_erlang_c_is_the_textbooks(slots: int, load: str) -> None:
    assert erlang_c(slots, float(Fraction(load))) == pytest.approx(
        textbook_c(slots, Fraction(load)), rel=1e-9
    )


@pytest.mark.parametrize(
    ("slots", "load", "blocked"),
    # One slot: A / (1 + A). Two: A² / (2 + 2A + A²). No slot blocks all, no load none.
    [
        (0, 3.0, 1.0),
        (1, 1.0, 1 / 2),
        (1, 3.0, 3 / 4),
        (2, 1.0, 1 / 5),
        (2, 2.0, 2 / 5),
        (3, 0.0, 0.0),
    ],
)
def test_erlang_b_by_hand(slots: int, load: float, blocked: float) -> None:
    assert erlang_b(slots, load) == pytest.approx(blocked)


def test_one_slot_is_the_m_m_1_queue() -> None:
    # P(wait > t) = u·exp(-(1 - u)·t/s) with the utilisation u.
    assert wait_exceeds(1, 0.8, 2.0) == pytest.approx(0.8 * math.exp(-0.4))


@pytest.mark.parametrize("load", [4.0, 5.0, math.inf])
def test_everyone_waits_when_there_are_no_more_slots_than_load(load: float) -> None:
    assert (erlang_c(4, load), wait_exceeds(4, load, 100.0)) == (1.0, 1.0)


def test_a_hundred_thousand_slots_neither_overflow_nor_cancel() -> None:
    assert 0 < erlang_c(100_000, 99_800.0) < 1


@given(COUNTS, LOADS, st.floats(0, 10))
def test_the_wait_only_falls_with_more_slots(slots: int, load: float, patience: float) -> None:
    fewer, more = wait_exceeds(slots, load, patience), wait_exceeds(slots + 1, load, patience)
    assert 0 <= more <= fewer * (1 + 1e-12) <= 1 + 1e-9


@given(LOADS, st.floats(0, 10), st.floats(0.001, 0.5), st.floats(0.5, 1))
def test_the_slots_needed_are_the_fewest(
    load: float, patience: float, late: float, utilisation: float
) -> None:
    def suffice(slots: int) -> bool:
        fits = load < utilisation * slots
        return fits and wait_exceeds(slots, load, patience) <= late * (1 + 1e-9)

    slots = slots_needed(load, patience, late, utilisation=utilisation, max_slots=10_000)
    assert suffice(slots)
    assert not suffice(slots - 1) or wait_exceeds(slots - 1, load, patience) > late * (1 - 1e-9)


@given(LOADS, LOADS, st.floats(0, 10), st.floats(0.001, 0.5))
def test_more_load_never_needs_fewer_slots(
    one: float, other: float, patience: float, late: float
) -> None:
    low, high = sorted((one, other))
    assert slots_needed(low, patience, late, max_slots=1000) <= slots_needed(
        high, patience, late, max_slots=1000
    )


def test_square_root_staffing_comes_out_of_it() -> None:
    # Halfin and Whitt: what is above the load grows as its root.
    above = [slots_needed(a, 0.0, 0.2, max_slots=10**6) - a for a in (100.0, 400.0, 1600.0)]
    assert above[1] / above[0] == pytest.approx(2, rel=0.1)
    assert above[2] / above[1] == pytest.approx(2, rel=0.1)


def test_it_gives_up_at_most_and_needs_none_for_nothing() -> None:
    assert slots_needed(50.0, 1.0, 0.02, max_slots=20) == 20
    assert slots_needed(math.inf, 1.0, 0.02, max_slots=20) == 20
    assert slots_needed(0.0, 1.0, 0.02, max_slots=20) == 0
