"""The CPU quota stands for slots: in proportion, and readable again from the container alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.resizer.compose.engine import EngineError
from tidegate.resizer.compose.quota import STEP, Quota, nano_cpus, read_quota
from tidegate.resizer.contract import ResizeRefusedError

Make = Callable[..., Any]
HALF = 500_000_000


def quota(nano: int, own_slots: int = 2) -> Quota | None:
    return read_quota({"HostConfig": {"NanoCpus": nano}}, own_slots)


@given(
    own=st.integers(1_000, 1_000_000).map(lambda steps: steps * STEP),
    own_slots=st.integers(1, 256),
    slots=st.integers(1, 256),
)
def test_what_is_lent_is_read_again_and_given_back_exactly(
    own: int, own_slots: int, slots: int
) -> None:
    lent = nano_cpus(Quota(own, slots), own_slots)
    read = quota(lent, own_slots)
    assert read is not None
    assert read.slots == slots
    if slots >= own_slots:
        assert read.own == own
    else:  # as near as steps allow
        assert abs(read.own - own) <= STEP * own_slots
    # The engine drops the number: what it gives is the proportion, to a step.
    assert abs(lent // STEP * STEP - own * slots / own_slots) <= STEP


def test_a_quota_that_nothing_is_lent_of_is_the_definitions() -> None:
    assert quota(HALF) == Quota(HALF, 2)
    assert nano_cpus(Quota(HALF, 2), 2) == HALF
    assert nano_cpus(Quota(HALF, 4), 2) == 2 * HALF + 4
    assert quota(0) is None
    assert read_quota({"HostConfig": {}}, 2) is None
    # The digits of `cpus: 0.333333` are no number of slots, nor are they lost.
    assert quota(333_333_000) == Quota(333_333_000, 2)


@pytest.fixture
async def begun(lab: Any, replica: Make) -> Any:
    """Two replicas with half a CPU each, of which one is a copy that has ended."""
    lab.lend(most=4)
    lab.engine.add(replica(1, host={"NanoCpus": HALF}), replica(2, host={"NanoCpus": HALF}))
    await lab.resizer.begin()
    return lab


def cpus(lab: Any) -> list[int]:
    return [one["HostConfig"]["NanoCpus"] for one in lab.engine.held.values()]


async def test_every_replica_gets_cpu_for_the_slots_asked_for_and_gives_it_back(
    begun: Any,
) -> None:
    begin = await begun.resizer.status()
    assert (begin.slots, begin.lends) == (2, "cpu")
    assert (await begun.resizer.resize(2, 4)).slots == 4
    await begun.tick()
    assert cpus(begun) == [2 * HALF + 4] * 2
    await begun.tick()
    assert begun.told("lend") == ["shop-model-1, shop-model-2: CPU for 4 slots"]
    await begun.resizer.resize(2, 2)
    await begun.tick()
    assert cpus(begun) == [HALF] * 2
    assert begun.told("resize") == [
        "2 → 4 slots a replica asked for: CPU in that proportion",
        "4 → 2 slots a replica asked for: CPU in that proportion",
    ]


async def test_a_copy_has_what_is_lent_and_is_not_stale_for_it(begun: Any) -> None:
    await begun.resizer.resize(3, 4)
    await begun.tick()
    await begun.tick()
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert cpus(begun) == [2 * HALF + 4] * 3
    await begun.resizer.resize(3)
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert not begun.told("gone")


async def test_one_that_compose_made_anew_is_lent_of_its_new_quota(
    begun: Any, replica: Make
) -> None:
    await begun.resizer.resize(2, 3)
    await begun.tick()
    begun.engine.add(replica(1, host={"NanoCpus": 2 * HALF}, hash="b", created=9000.0))
    await begun.tick()
    assert cpus(begun) == [3 * HALF + 3, 3 * HALF // 2 + 3]


async def test_a_resizer_that_was_killed_goes_on_with_what_was_lent(
    begun: Any, lab: Any, replica: Make
) -> None:
    await begun.resizer.resize(2, 4)
    await begun.tick()
    lab.lend(most=4)  # another process, which remembers nothing
    await lab.resizer.begin()
    assert (await lab.resizer.status()).slots == 4
    await lab.resizer.resize(2, 2)
    await lab.tick()
    assert cpus(lab) == [HALF] * 2


async def test_a_resizer_that_may_no_longer_lend_gives_back_what_was(begun: Any, lab: Any) -> None:
    await begun.resizer.resize(2, 4)
    await begun.tick()
    lab.lend(most=None)
    await lab.resizer.begin()
    await lab.tick()
    assert cpus(lab) == [HALF] * 2
    assert (await lab.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match=r"cannot be set: see slots\.max"):
        await lab.resizer.resize(2, 3)


async def test_without_a_limit_of_cpu_there_is_none_to_lend(lab: Any, replica: Make) -> None:
    lab.lend(most=4)
    lab.engine.add(replica(1))
    await lab.resizer.begin()
    assert (await lab.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match="the service has no limit of it"):
        await lab.resizer.resize(2, 4)
    assert lab.resizer.desired == 1
    await lab.tick()
    assert len(lab.told("slots")) == 1


async def test_slots_outside_the_bounds_change_nothing(begun: Any) -> None:
    for slots in (0, 5):
        with pytest.raises(ResizeRefusedError, match=rf"{slots} slots are outside \[1, 4\]"):
            await begun.resizer.resize(3, slots)
    assert (begun.resizer.desired, begun.resizer.slots) == (2, 2)


async def test_cpu_that_the_engine_refuses_is_told_once_and_stops_nothing(begun: Any) -> None:
    begun.engine.refusing = EngineError(400, "Range of CPUs is from 0.01 to 2.00")
    await begun.resizer.resize(2, 4)
    await begun.tick()
    await begun.tick()
    assert begun.told("cpu") == [
        "the CPU for 4 slots is refused: Range of CPUs is from 0.01 to 2.00"
    ]
    begun.engine.refusing = None
    await begun.resizer.resize(3)
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert begun.told("cpu")[1:] == ["the engine gives the CPU that was asked for"]
    assert json.loads(begun.out.getvalue().splitlines()[0])["event"]["action"] == "resize"
