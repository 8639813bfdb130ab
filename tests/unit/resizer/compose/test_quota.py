"""The CPU quota is proportional to the slots and can be read back from the container alone."""

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


def quota(nano: int, base_slots: int = 2) -> Quota | None:
    return read_quota({"HostConfig": {"NanoCpus": nano}}, base_slots)


@given(
    base=st.integers(1_000, 1_000_000).map(lambda steps: steps * STEP),
    base_slots=st.integers(1, 256),
    slots=st.integers(1, 256),
)
def test_a_lent_quota_can_be_read_back_and_undone(base: int, base_slots: int, slots: int) -> None:
    lent = nano_cpus(Quota(base, slots), base_slots)
    read = quota(lent, base_slots)
    assert read is not None
    assert read.slots == slots
    if slots >= base_slots:
        assert read.base == base
    else:  # to the nearest step
        assert abs(read.base - base) <= STEP * base_slots
    # The engine ignores the last digits; the rest is proportional, to one step.
    assert abs(lent // STEP * STEP - base * slots / base_slots) <= STEP


def test_without_lent_cpu_the_quota_is_that_of_the_definition() -> None:
    assert quota(HALF) == Quota(HALF, 2)
    assert nano_cpus(Quota(HALF, 2), 2) == HALF
    assert nano_cpus(Quota(HALF, 4), 2) == 2 * HALF + 4
    assert quota(0) is None
    assert read_quota({"HostConfig": {}}, 2) is None
    # The last digits of `cpus: 0.333333` are not a number of slots, and they are retained.
    assert quota(333_333_000) == Quota(333_333_000, 2)


@pytest.fixture
async def begun(lab: Any, replica: Make) -> Any:
    """A resizer with two replicas of half a CPU each."""
    lab.new_resizer(max_slots=4)
    lab.engine.add(replica(1, host={"NanoCpus": HALF}), replica(2, host={"NanoCpus": HALF}))
    await lab.resizer.begin()
    return lab


def cpus(lab: Any) -> list[int]:
    return [one["HostConfig"]["NanoCpus"] for one in lab.engine.containers.values()]


async def test_the_quota_of_every_replica_follows_the_requested_slots(
    begun: Any,
) -> None:
    begin = await begun.resizer.status()
    assert (begin.slots, begin.lends) == (2, "cpu")
    assert (await begun.resizer.resize(2, 4)).slots == 4
    await begun.tick()
    assert cpus(begun) == [2 * HALF + 4] * 2
    await begun.tick()
    assert begun.messages("lend") == ["shop-model-1, shop-model-2: CPU for 4 slots"]
    await begun.resizer.resize(2, 2)
    await begun.tick()
    assert cpus(begun) == [HALF] * 2
    assert begun.messages("resize") == [
        "2 → 4 slots per replica requested: CPU changes in proportion",
        "4 → 2 slots per replica requested: CPU changes in proportion",
    ]


async def test_a_copy_has_the_lent_quota_and_is_not_stale(begun: Any) -> None:
    await begun.resizer.resize(3, 4)
    await begun.tick()
    await begun.tick()
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert cpus(begun) == [2 * HALF + 4] * 3
    await begun.resizer.resize(3)
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert not begun.messages("gone")


async def test_a_replica_that_compose_recreated_is_lent_in_proportion_to_its_new_quota(
    begun: Any, replica: Make
) -> None:
    await begun.resizer.resize(2, 3)
    await begun.tick()
    begun.engine.add(replica(1, host={"NanoCpus": 2 * HALF}, hash="b", created=9000.0))
    await begun.tick()
    assert cpus(begun) == [3 * HALF + 3, 3 * HALF // 2 + 3]


async def test_a_restarted_resizer_continues_with_the_lent_quota(
    begun: Any, lab: Any, replica: Make
) -> None:
    await begun.resizer.resize(2, 4)
    await begun.tick()
    lab.new_resizer(max_slots=4)  # another process without memory of the first
    await lab.resizer.begin()
    assert (await lab.resizer.status()).slots == 4
    await lab.resizer.resize(2, 2)
    await lab.tick()
    assert cpus(lab) == [HALF] * 2


async def test_a_resizer_without_permission_to_lend_restores_the_base_quota(
    begun: Any, lab: Any
) -> None:
    await begun.resizer.resize(2, 4)
    await begun.tick()
    lab.new_resizer(max_slots=None)
    await lab.resizer.begin()
    await lab.tick()
    assert cpus(lab) == [HALF] * 2
    assert (await lab.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match=r"cannot be set: see slots\.max"):
        await lab.resizer.resize(2, 3)


async def test_a_service_without_a_cpu_limit_cannot_be_lent_cpu(lab: Any, replica: Make) -> None:
    lab.new_resizer(max_slots=4)
    lab.engine.add(replica(1))
    await lab.resizer.begin()
    assert (await lab.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match="the service has no CPU limit"):
        await lab.resizer.resize(2, 4)
    assert lab.resizer.desired == 1
    await lab.tick()
    assert len(lab.messages("slots")) == 1


async def test_slots_out_of_bounds_change_nothing(begun: Any) -> None:
    for slots in (0, 5):
        with pytest.raises(ResizeRefusedError, match=rf"{slots} slots are outside \[1, 4\]"):
            await begun.resizer.resize(3, slots)
    assert (begun.resizer.desired, begun.resizer.slots) == (2, 2)


async def test_a_refused_quota_is_logged_once_and_does_not_stop_scaling(begun: Any) -> None:
    begun.engine.refusing = EngineError(400, "Range of CPUs is from 0.01 to 2.00")
    await begun.resizer.resize(2, 4)
    await begun.tick()
    await begun.tick()
    assert begun.messages("cpu") == [
        "the engine refuses the CPU for 4 slots: Range of CPUs is from 0.01 to 2.00"
    ]
    begun.engine.refusing = None
    await begun.resizer.resize(3)
    await begun.tick()
    assert begun.names() == ["1", "2", "3"]
    assert begun.messages("cpu")[1:] == ["the engine grants the requested CPU"]
    assert json.loads(begun.out.getvalue().splitlines()[0])["event"]["action"] == "resize"
