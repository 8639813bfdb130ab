"""How long a replica is ready, or is not, is remembered for each of its runs."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.history import Chronicle

Make = Callable[..., Container]
NEW_YEAR = 1_767_225_600.0  # 2026


def test_a_run_begins_anew_when_the_container_is_started_again(container: Make) -> None:
    chronicle = Chronicle()
    chronicle.update([], (), at=1.0, now=1.0)
    first, again = container(1, started=2.0), container(1, started=9.0)
    chronicle.update([first], {first.id}, at=1003.0, now=3.0)
    assert (chronicle.of(first).ready_at, chronicle.of(first).unready_since) == (1003.0, None)
    chronicle.update([again], (), at=1009.0, now=9.0)
    assert (chronicle.of(again).ready_at, chronicle.of(again).unready_since) == (None, 9.0)
    chronicle.update([again], (), at=1010.0, now=10.0)
    assert chronicle.of(again).unready_since == 9.0
    chronicle.update([again], {again.id}, at=1012.0, now=12.0)
    assert (chronicle.of(again).ready_at, chronicle.of(again).unready_since) == (1012.0, None)


def test_what_was_ready_before_the_first_look_is_so_since_nobody_knows_when(
    container: Make,
) -> None:
    chronicle = Chronicle()
    one = container(1)
    chronicle.update([one], {one.id}, at=1001.0, now=1.0)
    chronicle.update([one], {one.id}, at=1002.0, now=2.0)
    assert chronicle.of(one).ready_at is None


def test_one_that_dies_again_and_again_is_started_ever_later(container: Make) -> None:
    chronicle = Chronicle()
    waits = []
    for death in range(1, 8):
        state = {"Status": "exited", "FinishedAt": f"2026-01-01T00:00:0{death}Z"}
        one = container(1, state=state, started=NEW_YEAR + death - 1.0)
        chronicle.update([one], (), at=0.0, now=100.0)
        chronicle.of(one).backoff.random = lambda: 0.0
        waits.append(chronicle.of(one).revive_at - 100.0)
        chronicle.update([one], (), at=0.0, now=100.5)  # the same death, seen again
        assert chronicle.of(one).revive_at == 100.0 + waits[-1]
    assert waits == [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0]
