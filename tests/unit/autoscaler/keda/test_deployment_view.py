"""What the control loop takes for its resizer where KEDA acts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from support.harnesses.event_files import MemoryLog
from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.keda.deployment_view import DeploymentView
from tidegate.autoscaler.types import Bounds
from tidegate.resizer.contract import ResizeRefusedError
from tidegate.resizer.kubernetes.objects import Deployment
from tidegate.settings import Replicas


@dataclass
class Scene:
    """A Deployment in memory, which follows nobody, and a clock of the test."""

    name: str = "model"
    spec: int = 3
    pods: int = 3
    ready: int = 3
    paused: bool = False
    now: float = 1000.0
    events: MemoryLog = field(default_factory=lambda: MemoryLog("autoscaler"))

    def __post_init__(self) -> None:
        self.decided = DecidedNumber(Bounds(0, 9), 20.0, lambda: self.now)
        source: Any = self
        self.view = DeploymentView(
            source,
            Replicas(min=0, max=9),
            self.decided,
            self.events.log,
            lambda: self.now,
            lambda: self.now,
        )

    async def deployment(self) -> Deployment:
        return Deployment.model_validate(
            {
                "spec": {"selector": {}, "replicas": self.spec, "paused": self.paused},
                "status": {"replicas": self.pods, "readyReplicas": self.ready},
            }
        )


async def test_before_the_first_decision_the_present_number_is_desired() -> None:
    scene = Scene(spec=4, pods=4, ready=2)
    status = await scene.view.status()
    assert (status.desired, status.running, status.ready) == (4, 4, 2)
    scene.decided.update(6)
    assert (await scene.view.status()).desired == 6
    scene.now += 60.0  # however old
    assert (await scene.view.status()).desired == 6
    scene.decided.update(7, dry_run=True)
    assert (await scene.view.status()).desired == 4


async def test_a_replica_is_ready_since_it_was_first_seen() -> None:
    scene = Scene(spec=3, pods=2, ready=1)
    states = [(one.state, one.ready_at) for one in (await scene.view.status()).replicas]
    assert states == [("ready", 0.0), ("starting", None)]
    scene.now, scene.pods, scene.ready = 1005.0, 3, 3
    found = [one.ready_at for one in (await scene.view.status()).replicas]
    assert found == [0.0, 1005.0, 1005.0]
    scene.now, scene.spec, scene.pods, scene.ready = 1010.0, 0, 0, 0
    assert not scene.view.is_at_zero()
    assert (await scene.view.status()).replicas == []
    assert scene.view.is_at_zero()
    scene.now, scene.pods, scene.ready = 1015.0, 1, 1
    assert [one.ready_at for one in (await scene.view.status()).replicas] == [1015.0]


async def test_a_request_is_checked_and_changes_nothing() -> None:
    scene = Scene()
    with pytest.raises(ResizeRefusedError, match="10 replicas are outside"):
        await scene.view.resize(10)
    with pytest.raises(ResizeRefusedError, match="slots"):
        await scene.view.resize(3, 4)
    assert (await scene.view.resize(5)).desired == 3


async def test_a_paused_deployment_is_reported_once() -> None:
    scene = Scene(paused=True)
    for _ in range(2):
        await scene.view.status()
    (message,) = scene.events.messages()
    assert "kubectl rollout resume" in message
