"""What every resizer does, whatever runs its replicas; each backend's tests run all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import pytest

from tidegate.resizer.contract import ReplicaStatus, Resizer, ResizeRefusedError

MIN: Final = 1
MAX: Final = 5
Settle = Callable[[], Awaitable[None]]
"""Waits until the resizer has done what was requested, as far as its double or cluster does it."""


@dataclass(frozen=True)
class ContractCase:
    """A resizer with the bounds `MIN` and `MAX`, one replica, and slots that cannot be set."""

    resizer: Resizer
    settle: Settle


def check_consistent(status: ReplicaStatus) -> None:
    """The counts are those of the replicas, whose ids are unique and whose times are in order."""
    states = [one.state for one in status.replicas]
    assert status.ready == states.count("ready")
    assert status.running == states.count("ready") + states.count("starting")
    assert len({one.id for one in status.replicas}) == len(status.replicas)
    for one in status.replicas:
        assert one.ready_at is None or one.started_at <= one.ready_at
        assert one.state == "ready" or one.ready_at is None


async def check_a_request_is_the_desired_number_at_once(case: ContractCase) -> None:
    for desired in (3, MAX, MIN):
        answered = await case.resizer.resize(desired)
        assert answered.desired == desired
        check_consistent(answered)
        await case.settle()
        status = await case.resizer.status()
        assert status.desired == desired
        check_consistent(status)
        assert status.running == desired


async def check_numbers_out_of_bounds_change_nothing(case: ContractCase) -> None:
    before = (await case.resizer.status()).desired
    for wrong in (MIN - 1, MAX + 1, -1, 10**9):
        with pytest.raises(ResizeRefusedError, match=str(wrong)):
            await case.resizer.resize(wrong)
    assert (await case.resizer.status()).desired == before


async def check_slots_that_cannot_be_set_change_nothing(case: ContractCase) -> None:
    before = await case.resizer.status()
    assert before.slots is None
    with pytest.raises(ResizeRefusedError, match="slots"):
        await case.resizer.resize(MAX, 4)
    assert (await case.resizer.status()).desired == before.desired


CHECKS: Final = (
    check_a_request_is_the_desired_number_at_once,
    check_numbers_out_of_bounds_change_nothing,
    check_slots_that_cannot_be_set_change_nothing,
)
