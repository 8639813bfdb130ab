"""A Deployment in memory whose pods are ready at once, for tests of what decides about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tidegate.resizer.kubernetes.api import ClusterError
from tidegate.resizer.kubernetes.objects import HOLD, RESIZER, Deployment, Pod
from tidegate.resizer.kubernetes.pods import Snapshot


def pod(name: str = "model-1", **status: Any) -> Pod:
    """A pod of a ReplicaSet that was created at 1970-01-01T00:00:01Z; `status` as Kubernetes spells it."""
    return Pod.model_validate(
        {
            "metadata": {
                "name": name,
                "creationTimestamp": "1970-01-01T00:00:01Z",
                "ownerReferences": [{"kind": "ReplicaSet", "controller": True}],
            },
            "status": status,
        }
    )


def ready_pod(name: str = "model-1", took: float = 1.0) -> Pod:
    """A pod that was ready after so many seconds."""
    condition = {
        "type": "Ready",
        "status": "True",
        "lastTransitionTime": datetime.fromtimestamp(1.0 + took, UTC),
    }
    return pod(name, phase="Running", conditions=[condition])


@dataclass
class MemoryDeployment:
    """Its number, who set it, how long its pods took, and the problem that every call has, if any."""

    replicas: int
    clock: Callable[[], float]
    problem: str = ""
    manager: str = ""
    took: float = 1.0
    scaled: list[int] = field(default_factory=list)

    def _check(self) -> None:
        if self.problem:
            raise ClusterError(self.problem)

    async def deployment(self) -> Deployment:
        self._check()
        return Deployment.model_validate(
            {
                "metadata": {"managedFields": self._managed_fields()},
                "spec": {"selector": {"matchLabels": {"app": "model"}}, "replicas": self.replicas},
                "status": {"replicas": self.replicas, "readyReplicas": self.replicas},
            }
        )

    async def read(self) -> Snapshot:
        pods = tuple(ready_pod(f"model-{number}", self.took) for number in range(self.replicas))
        return Snapshot(await self.deployment(), pods, self.clock())

    async def scale(self, replicas: int) -> None:
        self._check()
        self.scaled.append(replicas)
        self.replicas, self.manager = replicas, RESIZER

    async def hold(self) -> None:
        self._check()
        self.manager = HOLD

    def set_by_hand(self, replicas: int) -> None:
        """As `kubectl scale`, of which the API server keeps no name."""
        self.replicas, self.manager = replicas, ""

    def _managed_fields(self) -> list[dict[str, Any]]:
        fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
        return [{"manager": self.manager, "fieldsV1": fields}] if self.manager else []
