"""Erlang's formulas: against exact arithmetic, and their properties."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.erlang import wait_exceeds
from tidegate.autoscaler.sloq.queueing import slots_needed

LOADS = st.floats(0.01, 200)


def textbook_c(slots: int, load: Fraction) -> float:
    """The textbook formula of Erlang C, in exact arithmetic."""
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    return float(last / (sum(load**n / math.factorial(n) for n in range(slots)) + last))


@pytest.mark.parametrize(
    ("slots", "load"), [(1, "1/2"), (2, "1"), (5, "3"), (10, "9"), (40, "35"), (150, "149/1")]
)
def test_as_many_wait_as_in_exact_arithmetic(slots: int, load: str) -> None:
    exact, offered = textbook_c(slots, Fraction(load)), float(Fraction(load))
    assert wait_exceeds(slots, offered, 0.0) == pytest.approx(exact, rel=1e-9)
    needed = [
        slots_needed(offered, 0.0, exact * part, max_slots=1000) for part in (1 + 1e-6, 1 - 1e-6)
    ]
    assert needed == [slots, slots + 1]


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


def test_it_returns_at_most_the_maximum_and_0_without_load() -> None:
    assert slots_needed(50.0, 1.0, 0.02, max_slots=20) == 20
    assert slots_needed(math.inf, 1.0, 0.02, max_slots=20) == 20
    # Neither overflows nor cancels.
    assert 99_800 < slots_needed(99_800.0, 0.0, 0.5, max_slots=100_000) < 100_000
    assert slots_needed(0.0, 1.0, 0.02, max_slots=20) == 0
    assert slots_needed(math.ulp(0.0), 1.0, 0.02, peakedness=2.0, max_slots=20) == 1


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
