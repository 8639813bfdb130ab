"""How the bench of Kubernetes' sizes compares set numbers of replicas with decided ones."""

from __future__ import annotations

import pytest

from bench.running.following import Number, Ticks, judge, lags, number_at, react


def numbers(*pairs: tuple[float, int]) -> list[Number]:
    return [Number(at, replicas) for at, replicas in pairs]


# A tick each 5 s.
DECIDED = numbers((0, 1), (5, 1), (10, 3), (15, 3), (20, 3), (25, 2), (30, 2))


def test_a_number_is_in_force_after_its_moment() -> None:
    found = numbers((0, 1), (5, 2))
    assert [number_at(found, at) for at in (0, 5, 5.1)] == [None, 1, 2]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        # At once, as the resizer does.
        (numbers((0, 1), (10.1, 3), (25.1, 2)), Ticks(5, 5, 3, 3)),
        # One tick late each time.
        (numbers((0, 1), (16, 3), (30.5, 2)), Ticks(5, 3, 3, 3)),
        # Never.
        (numbers((0, 1)), Ticks(5, 1, 3, 1)),
        # The moment of the next tick is too late.
        (numbers((0, 1), (15, 3), (25.1, 2)), Ticks(5, 4, 3, 3)),
    ],
)
def test_a_tick_is_judged_just_before_the_next_one(sizes: list[Number], expected: Ticks) -> None:
    assert judge(DECIDED, sizes, 0, 30) == expected


def test_ticks_outside_of_the_time_do_not_count() -> None:
    assert judge(DECIDED, numbers((0, 1), (10.1, 3)), 9, 21).all == 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        (numbers((-1, 1), (10.5, 3), (32, 2)), [0.5, 7.0]),
        # The decision changes again before the number follows: one time, until it is right.
        (numbers((-1, 1), (27, 2)), [17.0]),
        (numbers((-1, 1)), []),
    ],
)
def test_a_lag_is_a_time_with_another_number(sizes: list[Number], expected: list[float]) -> None:
    assert lags(DECIDED, sizes, 0, 40) == expected


def test_a_reaction_counts_rises_up_to_the_next_step() -> None:
    found = react(numbers((0, 2), (14, 3), (20, 4), (41, 5)), 10, 40)
    assert (found.first_seconds, found.last_seconds) == (4, 10)
    assert (found.before, found.after) == (2, 4)
    assert react(numbers((0, 2), (14, 1)), 10, 40).first_seconds is None
