"""What a resizer tells of the start-ups that it measured."""

from __future__ import annotations

import pytest

from tidegate.resizer.contract import Replica, ReplicaStatus
from tidegate.resizer.startups import LATEST, Startups


def one(name: str, started_at: float, ready_at: float | None = None) -> Replica:
    state = "starting" if ready_at is None else "ready"
    return Replica(id=name, state=state, started_at=started_at, ready_at=ready_at)


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        pytest.param([[]], [], id="no replica"),
        pytest.param([[one("a", 10.0)]], [], id="one that still starts"),
        pytest.param([[one("a", 10.0, 12.0)]], [2.0], id="the first replica of a stack"),
        pytest.param([[one("a", 10.0, 12.0)]] * 3, [2.0], id="each counts once"),
        pytest.param(
            [[one("a", 10.0, 15.0), one("b", 10.0, 12.0)]], [2.0, 5.0], id="by their readiness"
        ),
        pytest.param(
            [[one("a", 10.0, 12.0)], [one("a", 10.0)], [one("a", 10.0, 90.0)]],
            [2.0],
            id="ready again is no start",
        ),
        pytest.param(
            [[one("a", 10.0, 12.0)], [one("a", 50.0)], [one("a", 50.0, 53.0)]],
            [2.0, 3.0],
            id="started again",
        ),
        pytest.param([[one("a", 10.0, 9.0)]], [], id="clocks that differ"),
    ],
)
def test_each_start_counts_once_and_the_oldest_comes_first(
    reads: list[list[Replica]], expected: list[float]
) -> None:
    startups = Startups()
    assert [startups.update(replicas) for replicas in reads][-1] == expected


def test_what_was_ready_at_the_first_look_counts_if_it_was_quick_until_another_is_measured() -> (
    None
):
    startups = Startups()
    # The second one was ready before, too: no start takes as long.
    before = [one("a", 10.0, 35.0), one("b", 10.0, 80.0)]
    assert startups.update([*before, one("c", 79.0)], 30.0) == [25.0]
    assert startups.update([*before, one("c", 79.0)], 30.0) == [25.0]
    assert startups.update([*before, one("c", 79.0, 81.0)], 30.0) == [2.0]
    later = [one("d", 90.0, 93.0), one("e", 80.0, 180.0)]
    assert startups.update(later, 30.0) == [2.0, 3.0, 100.0]


def test_what_is_not_known_at_the_first_look_never_counts() -> None:
    startups = Startups()
    assert startups.update([one("a", 10.0, 10.0)], -1.0) == []
    assert startups.update([one("a", 10.0, 10.0), one("b", 12.0, 13.0)], -1.0) == [1.0]


def test_the_latest_are_kept() -> None:
    startups = Startups()
    for number in range(LATEST + 5):
        found = startups.update([one(str(number), 0.0, float(number))])
    assert found == [float(number) for number in range(5, LATEST + 5)]


def test_an_old_resizer_and_an_old_client_are_understood() -> None:
    old = ReplicaStatus.of(1, [one("a", 1.0, 2.0)]).model_dump(exclude={"startups"})
    assert ReplicaStatus.model_validate(old).startups == []
    new = ReplicaStatus.of(1, [one("a", 1.0, 2.0)], startups=[1.0]).model_dump()
    assert ReplicaStatus.model_validate({**new, "later": True}).startups == [1.0]
