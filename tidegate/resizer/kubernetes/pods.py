"""What the pods of a Deployment are as replicas, and what a person has to know about them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.resizer.contract import Replica, ReplicaState
from tidegate.resizer.kubernetes.objects import (
    READY,
    REPLICA_FAILURE,
    SCHEDULED,
    Deployment,
    Pod,
    Waiting,
)

# The kubelet waits for these without a fault; every other reason is an error that it retries.
STARTING_REASONS: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
ENDED_PHASES: Final = frozenset({"Failed", "Succeeded"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A Deployment and its pods, also those that drain, at one moment on a monotonic clock."""

    deployment: Deployment
    pods: tuple[Pod, ...]
    read_at: float

    @property
    def replicas(self) -> int:
        """The number of pods that the Deployment asks for now (`spec.replicas`)."""
        return self.deployment.spec.replicas

    def as_replicas(self) -> list[Replica]:
        """The pods as replicas."""
        return [one for pod in self.pods if (one := as_replica(pod))]


def owned(pods: Iterable[Pod]) -> tuple[Pod, ...]:
    """The pods that a ReplicaSet controls: not a copy made by hand (`kubectl debug --copy-to`)."""
    return tuple(
        pod
        for pod in pods
        if any(one.controller and one.kind == "ReplicaSet" for one in pod.metadata.owner_references)
    )


def as_replica(pod: Pod) -> Replica | None:
    """The pod as a replica; None if it has ended: another one takes its place."""
    if pod.status.phase in ENDED_PHASES:
        return None
    state, ready = _state(pod), pod.condition(READY)
    since = ready.last_transition_time if ready and state == "ready" else None
    return Replica(
        id=pod.metadata.name,
        state=state,
        started_at=pod.metadata.creation_timestamp.timestamp(),
        ready_at=since.timestamp() if since else None,
    )


def problems(snapshot: Snapshot) -> Mapping[str, str]:
    """What keeps the pods from running, one sentence per condition; empty if nothing does."""
    found: dict[str, str] = {}
    if snapshot.deployment.spec.paused:
        found["paused"] = (
            "the Deployment is paused: its number of pods still changes, but a new image or setting reaches"
            " no pod until `kubectl rollout resume`"
        )
    for condition in snapshot.deployment.status.conditions:
        if condition.type == REPLICA_FAILURE and condition.status == "True":
            found["refused"] = f"the cluster refuses more pods: {condition.message}"
    waiting = [pod for pod in snapshot.pods if _is_unschedulable(pod)]
    if waiting:
        scheduled = waiting[0].condition(SCHEDULED)
        found["unschedulable"] = (
            f"{_count(waiting)} no node: {scheduled.message if scheduled else ''}"
        )
    failing = [(pod, failure) for pod in snapshot.pods if (failure := _failure(pod))]
    if failing:
        found["failing"] = f"{_count([pod for pod, _ in failing])} failed: {failing[0][1]}"
    return found


def _state(pod: Pod) -> ReplicaState:
    if pod.metadata.deletion_timestamp is not None:
        return "draining"
    ready = pod.condition(READY)
    if ready is not None and ready.status == "True":
        return "ready"
    return "failed" if _fault(pod) else "starting"


def _fault(pod: Pod) -> Waiting | None:
    """Why a container of the pod cannot start, if one cannot."""
    if pod.metadata.deletion_timestamp is not None or pod.status.phase in ENDED_PHASES:
        return None
    for one in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        waiting = one.state.waiting
        if waiting is not None and waiting.reason not in STARTING_REASONS:
            return waiting
    return None


def _failure(pod: Pod) -> str:
    """Why a container has not started, in words that stay the same while it is started again and again."""
    if pod.metadata.deletion_timestamp is None and pod.status.phase not in ENDED_PHASES:
        for one in (*pod.status.init_container_statuses, *pod.status.container_statuses):
            ended = one.last_state.terminated
            if ended and one.restart_count and not one.started:
                reason = f" ({ended.reason})" if ended.reason else ""
                return (
                    f"the container {one.name} ended with exit code {ended.exit_code}{reason} and has not"
                    " started again"
                )
    fault = _fault(pod)
    if fault is None:
        return ""
    return f"{fault.reason} ({fault.message})" if fault.message else fault.reason


def _is_unschedulable(pod: Pod) -> bool:
    scheduled = pod.condition(SCHEDULED)
    return (
        pod.metadata.deletion_timestamp is None
        and pod.status.phase == "Pending"
        and scheduled is not None
        and scheduled.status == "False"
    )


def _count(pods: list[Pod]) -> str:
    return f"pod {pods[0].metadata.name} has" if len(pods) == 1 else f"{len(pods)} pods have"
