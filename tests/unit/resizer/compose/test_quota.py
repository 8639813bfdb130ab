"""The CPU quota is proportional to the slots and can be read back from the container alone."""

from __future__ import annotations

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
async def scene(harness: Any, replica: Make) -> Any:
    """A resizer with two replicas of half a CPU each."""
    harness.new_resizer(max_slots=4)
    harness.engine.add(replica(1, host={"NanoCpus": HALF}), replica(2, host={"NanoCpus": HALF}))
    await harness.resizer.initialize()
    return harness


def cpus(harness: Any) -> list[int]:
    return [one["HostConfig"]["NanoCpus"] for one in harness.engine.containers.values()]


async def test_the_quota_of_every_replica_follows_the_requested_slots(scene: Any) -> None:
    begin = await scene.resizer.status()
    assert (begin.slots, begin.lends) == (2, "cpu")
    assert (await scene.resizer.resize(2, 4)).slots == 4
    await scene.tick()
    assert cpus(scene) == [2 * HALF + 4] * 2
    await scene.tick()
    assert scene.messages("lend") == ["shop-model-1, shop-model-2: CPU for 4 slots"]
    await scene.resize(2, 2)
    assert cpus(scene) == [HALF] * 2
    assert scene.messages("resize") == [
        "2 → 4 slots per replica requested: CPU changes in proportion",
        "4 → 2 slots per replica requested: CPU changes in proportion",
    ]


async def test_a_copy_has_the_lent_quota_and_is_not_stale(scene: Any) -> None:
    await scene.resize(3, 4, ticks=3)
    assert scene.names() == ["1", "2", "3"]
    assert cpus(scene) == [2 * HALF + 4] * 3
    await scene.resize(3)
    assert scene.names() == ["1", "2", "3"]
    assert not scene.messages("gone")


async def test_a_replica_that_compose_recreated_is_lent_in_proportion_to_its_new_quota(
    scene: Any, replica: Make
) -> None:
    await scene.resize(2, 3)
    scene.engine.add(replica(1, host={"NanoCpus": 2 * HALF}, hash="b", created=9000.0))
    await scene.tick()
    assert cpus(scene) == [3 * HALF + 3, 3 * HALF // 2 + 3]


async def test_a_restarted_resizer_continues_with_the_lent_quota(scene: Any) -> None:
    await scene.resize(2, 4)
    scene.new_resizer(max_slots=4)  # another process without memory of the first
    await scene.resizer.initialize()
    assert (await scene.resizer.status()).slots == 4
    await scene.resize(2, 2)
    assert cpus(scene) == [HALF] * 2


async def test_a_resizer_without_permission_to_lend_restores_the_base_quota(scene: Any) -> None:
    await scene.resize(2, 4)
    scene.new_resizer(max_slots=None)
    await scene.resizer.initialize()
    await scene.tick()
    assert cpus(scene) == [HALF] * 2
    assert (await scene.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match=r"cannot be set: see slots\.max"):
        await scene.resizer.resize(2, 3)


async def test_a_service_without_a_cpu_limit_cannot_be_lent_cpu(
    harness: Any, replica: Make
) -> None:
    harness.new_resizer(max_slots=4)
    harness.engine.add(replica(1))
    await harness.resizer.initialize()
    assert (await harness.resizer.status()).slots is None
    with pytest.raises(ResizeRefusedError, match="the service has no CPU limit"):
        await harness.resizer.resize(2, 4)
    assert harness.resizer.desired == 1
    await harness.tick()
    assert len(harness.messages("slots")) == 1


async def test_slots_out_of_bounds_change_nothing(scene: Any) -> None:
    for slots in (0, 5):
        with pytest.raises(ResizeRefusedError, match=rf"{slots} slots are outside \[1, 4\]"):
            await scene.resizer.resize(3, slots)
    assert (scene.resizer.desired, scene.resizer.slots) == (2, 2)


async def test_a_refused_quota_is_logged_once_and_does_not_stop_scaling(scene: Any) -> None:
    scene.engine.refusing = EngineError(400, "Range of CPUs is from 0.01 to 2.00")
    await scene.resize(2, 4, ticks=2)
    assert scene.messages("cpu") == [
        "the engine refuses the CPU for 4 slots: Range of CPUs is from 0.01 to 2.00"
    ]
    scene.engine.refusing = None
    await scene.resize(3)
    assert scene.names() == ["1", "2", "3"]
    assert scene.messages("cpu")[1:] == ["the engine grants the requested CPU"]
    assert scene.events.events()[0]["event"]["action"] == "resize"
