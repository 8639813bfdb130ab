"""The parts of a Deployment and of its pods that the resizer reads, as the API server sends them.

Everything else in them is ignored: a pod has some 8 kB of JSON, and the models of the official client take
a hundred times longer to build.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

READY: Final = "Ready"
SCHEDULED: Final = "PodScheduled"
REPLICA_FAILURE: Final = "ReplicaFailure"
# Field managers: of the numbers that the resizer sets, and of a 0 that it found to be set by hand.
RESIZER: Final = "tidegate-resizer"
HOLD: Final = "tidegate-resizer-hold"


class _Object(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class Condition(_Object):
    """A condition of a Deployment or of a pod."""

    type: str
    status: str
    message: str = ""
    last_transition_time: datetime | None = None


class Requirement(_Object):
    """One entry of `matchExpressions`."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(_Object):
    """A label selector."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Requirement, ...] = ()

    def as_query(self) -> str:
        """As the value of `labelSelector` in a request."""
        parts = [f"{key}={value}" for key, value in self.match_labels.items()]
        for one in self.match_expressions:
            values = f"({','.join(one.values)})"
            parts.append(
                {
                    "In": f"{one.key} in {values}",
                    "NotIn": f"{one.key} notin {values}",
                    "Exists": one.key,
                    "DoesNotExist": f"!{one.key}",
                }[one.operator]
            )
        return ",".join(parts)


class ManagedFields(_Object):
    """The fields that one client set, as nested keys such as `f:spec`."""

    manager: str = ""
    fields_v1: dict[str, Any] = {}


class DeploymentMetadata(_Object):
    """`metadata` of a Deployment."""

    managed_fields: tuple[ManagedFields, ...] = ()


class DeploymentSpec(_Object):
    """`spec` of a Deployment."""

    selector: Selector
    replicas: int = 1
    paused: bool = False


class DeploymentStatus(_Object):
    """`status` of a Deployment: `replicas` counts its pods without those that drain."""

    replicas: int = 0
    ready_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(_Object):
    """A Deployment."""

    metadata: DeploymentMetadata = DeploymentMetadata()
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()

    @property
    def replicas_managers(self) -> frozenset[str]:
        """The clients that set `spec.replicas`, as far as the API server keeps them."""
        return frozenset(
            each.manager
            for each in self.metadata.managed_fields
            if "f:replicas" in each.fields_v1.get("f:spec", {})
        )


class ScaleSpec(_Object):
    """`spec` of a Scale."""

    replicas: int = 0


class Scale(_Object):
    """The scale subresource."""

    spec: ScaleSpec


class OwnerReference(_Object):
    """What created a pod."""

    kind: str
    controller: bool = False


class PodMetadata(_Object):
    """`metadata` of a pod."""

    name: str
    creation_timestamp: datetime
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] = ()


class Waiting(_Object):
    """Why a container has not started."""

    reason: str = ""
    message: str = ""


class Terminated(_Object):
    """How a container has ended."""

    exit_code: int
    reason: str = ""


class ContainerState(_Object):
    """The state of a container."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Object):
    """The status of one container: `started` once its startup probe, if it has one, has succeeded."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    restart_count: int = 0
    started: bool | None = None


class PodStatus(_Object):
    """`status` of a pod."""

    phase: str = "Pending"
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(_Object):
    """A pod."""

    metadata: PodMetadata
    status: PodStatus = PodStatus()

    def condition(self, name: str) -> Condition | None:
        """The condition of that type, if the pod has it."""
        return next((one for one in self.status.conditions if one.type == name), None)


class PodList(_Object):
    """The response to a list of pods."""

    items: tuple[Pod, ...] = ()
