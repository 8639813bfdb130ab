"""The history records since when a replica has been ready or not, for each start."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tidegate.resizer.compose.containers import Container
from tidegate.resizer.compose.history import ReplicaHistory

Make = Callable[..., Container]
NEW_YEAR = 1_767_225_600.0  # 2026


def test_a_restart_resets_the_times(container: Make) -> None:
    history = ReplicaHistory()
    history.update([], (), at=1.0, now=1.0)
    first, again = container(1, started=2.0), container(1, started=9.0)
    history.update([first], {first.id}, at=1003.0, now=3.0)
    assert (history.of(first).ready_at, history.of(first).not_ready_since) == (1003.0, None)
    history.update([again], (), at=1009.0, now=9.0)
    assert (history.of(again).ready_at, history.of(again).not_ready_since) == (None, 9.0)
    history.update([again], (), at=1010.0, now=10.0)
    assert history.of(again).not_ready_since == 9.0
    history.update([again], {again.id}, at=1012.0, now=12.0)
    assert (history.of(again).ready_at, history.of(again).not_ready_since) == (1012.0, None)


def test_the_restart_delay_grows_with_repeated_crashes(container: Make) -> None:
    history = ReplicaHistory()
    delays = []
    for crash in range(1, 8):
        state = {"Status": "exited", "FinishedAt": f"2026-01-01T00:00:0{crash}Z"}
        one = container(1, state=state, started=NEW_YEAR + crash - 1.0)
        history.update([one], (), at=0.0, now=100.0)
        history.of(one).backoff.random = lambda: 0.0
        delays.append(history.of(one).restart_at - 100.0)
        history.update([one], (), at=0.0, now=100.5)  # the same crash, seen again
        assert history.of(one).restart_at == 100.0 + delays[-1]
    assert delays == [1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 16.0]


def check(second: float, code: int) -> dict[str, object]:
    """The result of a health check, as the engine has it in its own time zone."""
    return {"End": f"2026-01-01T01:00:{second:012.9f}+01:00", "ExitCode": code}


@pytest.mark.parametrize(
    ("checks", "ready_at"),
    [
        ([check(3.5, 0), check(6.5, 0)], 3.5),
        ([check(3.5, 1), check(6.5, 1)], 20.0),
        ([check(3.5, 1), check(6.5, 0)], 6.5),
        # Those of its run before.
        ([check(1.0, 0), check(1.5, 1), check(4.5, 0)], 4.5),
        ([check(at, 0 if at > 5 else 1) for at in (2.5, 3.5, 4.5, 5.5, 6.5)], 5.5),
        # The first one is not kept.
        ([check(at, 0) for at in (12.5, 13.5, 14.5, 15.5, 16.5)], None),
        ([], None),
    ],
)
def test_the_engine_knows_since_when_a_replica_is_ready_that_was_at_the_first_look(
    container: Make, checks: list[dict[str, object]], ready_at: float | None
) -> None:
    history = ReplicaHistory()
    status = "starting" if checks and checks[-1]["ExitCode"] else "healthy"
    state = {"Health": {"Status": status, "Log": checks}}
    one = container(1, state=state, started=NEW_YEAR + 2.0)
    history.update([one], {one.id}, at=NEW_YEAR + 20.0, now=3.0)
    assert history.of(one).ready_at == (None if ready_at is None else NEW_YEAR + ready_at)
