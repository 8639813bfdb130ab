"""The control loop of the resizer for Kubernetes over a Deployment in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.doubles.memory_deployment import MemoryDeployment
from support.harnesses.event_files import MemoryLog
from support.harnesses.resizer_contract import CHECKS, MAX, MIN, ContractCase
from tidegate.resizer.contract import ResizerUnavailableError
from tidegate.resizer.kubernetes.objects import HOLD, RESIZER
from tidegate.resizer.kubernetes.resizer import KubernetesResizer
from tidegate.settings import Replicas


@dataclass
class Scene:
    """A resizer whose clock the test advances."""

    replicas: int = 1
    min: int = MIN
    now: float = 0.0
    events: MemoryLog = field(default_factory=lambda: MemoryLog("resizer", dataset="resizer"))

    def __post_init__(self) -> None:
        self.deployment = MemoryDeployment(self.replicas, self.clock)
        deployment: Any = self.deployment
        bounds = Replicas(min=self.min, start=self.min, max=MAX)
        self.resizer = KubernetesResizer(deployment, bounds, self.events.log, self.clock)

    def clock(self) -> float:
        return self.now

    async def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += 2.0
            await self.resizer.tick()

    def logged(self) -> list[str]:
        """The actions in its log."""
        return [one["event"]["action"] for one in self.events.events()]


@pytest.mark.parametrize("check", CHECKS)
async def test_it_keeps_the_contract_of_resizers(
    check: Callable[[ContractCase], Awaitable[None]],
) -> None:
    scene = Scene()
    await scene.tick()

    async def settle() -> None:
        await scene.tick(2)

    await check(ContractCase(scene.resizer, settle))


@pytest.mark.parametrize(("found", "desired"), [(1, 2), (3, 3), (9, MAX)])
async def test_the_present_number_within_the_bounds_is_desired_at_first(
    found: int, desired: int
) -> None:
    scene = Scene(replicas=found, min=2)
    await scene.tick(2)
    assert (await scene.resizer.status()).desired == desired
    assert scene.deployment.replicas == desired
    assert scene.logged() == ["start"]


async def test_a_deployment_that_was_set_to_zero_by_hand_is_left_there_after_a_restart() -> None:
    scene = Scene(replicas=0)
    scene.deployment.manager = "kubectl-edit"
    await scene.tick(2)
    assert scene.deployment.scaled == []
    assert scene.logged() == ["start", "held"]
    scene.deployment.replicas = 1
    await scene.tick(2)
    assert scene.deployment.scaled == []
    assert scene.logged() == ["start", "held", "held"]


async def test_a_zero_by_hand_is_recorded_for_the_resizer_after_this_one() -> None:
    scene = Scene(replicas=2)
    await scene.tick()
    scene.deployment.replicas = 0
    scene.deployment.problem = "the API server is away"
    await scene.tick()
    scene.deployment.problem = ""
    await scene.tick()
    assert scene.deployment.manager == HOLD
    assert "held" in scene.logged()
    later = Scene(replicas=0)
    later.deployment = scene.deployment
    later.resizer.deployment = scene.deployment  # type: ignore[assignment]
    await later.tick(2)
    await later.resizer.resize(3)
    await later.tick()
    assert scene.deployment.scaled == []


@pytest.mark.parametrize("manager", [RESIZER, ""])
async def test_a_zero_that_an_autoscaler_set_ends_when_the_minimum_is_one(manager: str) -> None:
    scene = Scene(replicas=0)
    scene.deployment.manager = manager
    await scene.tick(2)
    assert scene.deployment.scaled == [MIN]
    assert scene.logged() == ["start"]


async def test_zero_is_a_number_like_others_if_the_bounds_allow_it() -> None:
    scene = Scene(replicas=0, min=0)
    await scene.tick()
    await scene.resizer.resize(2)
    await scene.tick()
    await scene.resizer.resize(0)
    await scene.tick()
    assert scene.deployment.scaled == [2, 0]
    assert scene.logged() == ["start", "resize", "resize"]


AWAY = "the API server is away"


async def test_before_the_first_read_nothing_is_known_and_requests_are_refused() -> None:
    scene = Scene()
    scene.deployment.problem = AWAY
    with pytest.raises(ResizerUnavailableError, match="was not read yet"):
        await scene.resizer.status()
    await scene.tick(3)
    with pytest.raises(ResizerUnavailableError, match="is away"):
        await scene.resizer.resize(3)
    scene.deployment.problem = ""
    await scene.tick()
    assert (await scene.resizer.status()).desired == 1


async def test_an_outage_holds_the_number_ends_the_status_and_is_logged_once() -> None:
    scene = Scene(replicas=3)
    await scene.tick()
    scene.deployment.problem = AWAY
    await scene.tick(4)
    assert (await scene.resizer.status()).running == 3
    await scene.tick(2)
    with pytest.raises(ResizerUnavailableError, match="is away"):
        await scene.resizer.status()
    with pytest.raises(ResizerUnavailableError, match="is away"):
        await scene.resizer.resize(4)
    scene.deployment.problem = ""
    await scene.tick()
    assert scene.deployment.scaled == [4]
    assert scene.logged() == ["start", "cluster", "resize", "cluster"]


async def test_a_contest_is_over_when_the_other_controller_is_gone() -> None:
    scene = Scene(replicas=2)
    await scene.tick()
    for _ in range(5):
        scene.deployment.replicas = 4
        await scene.tick(2)
    assert scene.deployment.scaled == [2] * 5
    await scene.tick(70)
    assert scene.logged() == ["start", "corrected", "corrected", "contested", "contested"]


async def test_a_request_that_is_not_in_force_yet_is_no_change_by_others() -> None:
    scene = Scene(replicas=2)
    await scene.tick()
    await scene.resizer.resize(3)
    await scene.resizer.resize(4)
    await scene.tick(2)
    assert scene.deployment.scaled == [4]
    assert "corrected" not in scene.logged()


@pytest.mark.parametrize("then", [3, 4])
async def test_a_zero_by_hand_right_after_or_before_a_resize_is_left_there(then: int) -> None:
    scene = Scene(replicas=2)
    await scene.tick()
    await scene.resizer.resize(3)
    await scene.tick()
    scene.deployment.set_by_hand(0)
    await scene.resizer.resize(then)
    await scene.tick(2)
    assert scene.deployment.scaled == [3]
    assert scene.deployment.manager == HOLD


async def test_a_zero_of_another_resizer_does_not_stay() -> None:
    scene = Scene(replicas=2, min=0)
    await scene.tick()
    await scene.deployment.scale(0)
    await scene.tick(2)
    assert scene.deployment.scaled == [0, 2]
    assert scene.logged() == ["start", "corrected"]


async def test_the_start_of_a_pod_that_was_not_ready_at_the_first_read_is_measured() -> None:
    scene = Scene(replicas=1)
    await scene.tick()
    await scene.resizer.resize(3)
    await scene.tick(2)
    assert (await scene.resizer.status()).startups == [1.0, 1.0]


@pytest.mark.parametrize(("took", "known"), [(4.0, [4.0]), (59.0, [59.0]), (3_600.0, [])])
async def test_the_start_of_the_first_pods_is_known_before_any_scale_up(
    took: float, known: list[float]
) -> None:
    scene = Scene(replicas=1)
    scene.deployment.took = took
    await scene.tick()
    assert (await scene.resizer.status()).startups == known
