"""Erlang's formulas: against exact arithmetic, and their properties."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.autoscaler.sloq.queueing import erlang_b, erlang_c, slots_needed, wait_exceeds

LOADS = st.floats(0.01, 200)
COUNTS = st.integers(1, 300)


def textbook_c(slots: int, load: Fraction) -> float:
    """The textbook formula of Erlang C, in exact arithmetic."""
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    return float(last / (sum(load**n / math.factorial(n) for n in range(slots)) + last))


@pytest.mark.parametrize(
    ("slots", "load"), [(1, "1/2"), (2, "1"), (5, "3"), (10, "9"), (40, "35"), (150, "149/1")]
)
def test_erlang_c_equals_the_textbook_formula(slots: int, load: str) -> None:
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
def test_erlang_b_equals_values_calculated_by_hand(slots: int, load: float, blocked: float) -> None:
    assert erlang_b(slots, load) == pytest.approx(blocked)


def test_one_slot_is_the_m_m_1_queue() -> None:
    # P(wait > t) = u·exp(-(1 - u)·t/s) with the utilisation u.
    assert wait_exceeds(1, 0.8, 2.0) == pytest.approx(0.8 * math.exp(-0.4))


@pytest.mark.parametrize("load", [4.0, 5.0, math.inf])
def test_every_request_waits_when_the_load_reaches_the_slots(load: float) -> None:
    assert (erlang_c(4, load), wait_exceeds(4, load, 100.0)) == (1.0, 1.0)


def test_a_hundred_thousand_slots_neither_overflow_nor_cancel() -> None:
    assert 0 < erlang_c(100_000, 99_800.0) < 1


@given(COUNTS, LOADS, st.floats(0, 10))
def test_more_slots_never_increase_the_wait(slots: int, load: float, patience: float) -> None:
    fewer, more = wait_exceeds(slots, load, patience), wait_exceeds(slots + 1, load, patience)
    assert 0 <= more <= fewer * (1 + 1e-12) <= 1 + 1e-9


@given(LOADS, st.floats(0, 10), st.floats(0.001, 0.5), st.floats(0.5, 1))
def test_the_slots_needed_are_the_minimum(
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


def test_the_result_follows_square_root_staffing() -> None:
    # Halfin and Whitt: what is above the load grows as its root.
    above = [slots_needed(a, 0.0, 0.2, max_slots=10**6) - a for a in (100.0, 400.0, 1600.0)]
    assert above[1] / above[0] == pytest.approx(2, rel=0.1)
    assert above[2] / above[1] == pytest.approx(2, rel=0.1)


def test_it_returns_at_most_the_maximum_and_0_without_load() -> None:
    assert slots_needed(50.0, 1.0, 0.02, max_slots=20) == 20
    assert slots_needed(math.inf, 1.0, 0.02, max_slots=20) == 20
    assert slots_needed(0.0, 1.0, 0.02, max_slots=20) == 0


@given(st.floats(0.1, 200), st.floats(0, 5), st.floats(1, 20))
def test_more_variable_traffic_never_needs_fewer_slots(
    load: float, patience: float, peakedness: float
) -> None:
    poisson = slots_needed(load, patience, 0.005, max_slots=10_000)
    peaked = slots_needed(load, patience, 0.005, peakedness=peakedness, max_slots=10_000)
    # By Hayward, as many as z systems would need for the z-th part of the load each.
    parts = slots_needed(load / peakedness, patience, 0.005, max_slots=10_000)
    assert poisson - 1 <= peaked <= math.ceil(peakedness * parts)


@given(st.floats(0.1, 200), st.floats(0.001, 50), st.floats(0, 5), st.floats(1, 20))
def test_more_load_never_needs_fewer_slots_whatever_the_peakedness(
    load: float, more: float, patience: float, peakedness: float
) -> None:
    needed = [
        slots_needed(a, patience, 0.005, peakedness=peakedness, max_slots=10_000)
        for a in (load, load + more)
    ]
    assert needed[0] <= needed[1]
