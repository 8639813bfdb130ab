"""The pods of a Deployment as replicas."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.doubles.memory_deployment import pod, ready_pod
from support.harnesses.resizer_contract import check_consistent
from tidegate.resizer.contract import ReplicaStatus
from tidegate.resizer.kubernetes.objects import Deployment, Pod, Selector
from tidegate.resizer.kubernetes.pods import Snapshot, as_replica, owned, problems


def snapshot(*pods: Pod, **status: Any) -> Snapshot:
    deployment = Deployment.model_validate(
        {"spec": {"selector": {"matchLabels": {"app": "model"}}}, "status": status}
    )
    return Snapshot(deployment, pods, 0.0)


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"name": "model", "state": {"waiting": {"reason": reason, "message": message}}}


def draining(one: Pod) -> Pod:
    gone = one.metadata.model_copy(update={"deletion_timestamp": one.metadata.creation_timestamp})
    return one.model_copy(update={"metadata": gone})


@pytest.mark.parametrize(
    ("one", "state"),
    [
        (pod(), "starting"),
        (pod(phase="Running"), "starting"),
        (pod(phase="Pending", containerStatuses=[waiting("ContainerCreating")]), "starting"),
        (pod(phase="Pending", initContainerStatuses=[waiting("PodInitializing")]), "starting"),
        (pod(phase="Pending", containerStatuses=[waiting("ImagePullBackOff")]), "failed"),
        (pod(phase="Running", containerStatuses=[waiting("CrashLoopBackOff")]), "failed"),
        (pod(phase="Pending", initContainerStatuses=[waiting("ErrImageNeverPull")]), "failed"),
        (ready_pod(), "ready"),
        (draining(ready_pod()), "draining"),
        (draining(pod(containerStatuses=[waiting("CrashLoopBackOff")])), "draining"),
        # One that has ended is no replica.
        (pod(phase="Failed"), None),
        (pod(phase="Succeeded"), None),
    ],
)
def test_the_state_of_a_pod(one: Pod, state: str | None) -> None:
    replica = as_replica(one)
    assert (replica.state if replica else None) == state
    if replica is not None:
        assert (replica.started_at, replica.ready_at) == (1.0, 2.0 if state == "ready" else None)


def test_a_copy_made_by_hand_is_no_pod_of_the_deployment() -> None:
    metadata = {"name": "copy", "creationTimestamp": "1970-01-01T00:00:01Z"}
    copy = Pod.model_validate({"metadata": metadata})
    assert owned([pod("own"), copy]) == (pod("own"),)


def test_problems_are_sentences_with_the_pods_and_the_reason() -> None:
    no_node = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient cpu."}
    stuck = pod(phase="Pending", conditions=[no_node])
    failing = [
        pod(name, containerStatuses=[waiting("ImagePullBackOff", "no image x")]) for name in "ab"
    ]
    refused = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    assert problems(snapshot(stuck, *failing, ready_pod(), conditions=[refused])) == {
        "refused": "the cluster refuses more pods: exceeded quota",
        "unschedulable": "pod model-1 has no node: 0/3 nodes: Insufficient cpu.",
        "failing": "2 pods have failed: ImagePullBackOff (no image x)",
    }
    assert problems(snapshot(ready_pod(), pod("starting"))) == {}


def crashing(state: dict[str, Any], *, restarts: int = 3, started: bool = False) -> Pod:
    """As a kubelet reports a container that ends with an error some seconds after each start."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    status = {
        "name": "model",
        "state": state,
        "lastState": ended if restarts else {},
        "restartCount": restarts,
        "started": started,
    }
    return pod(phase="Running", containerStatuses=[status])


def test_a_crash_loop_is_one_problem_until_the_container_has_started() -> None:
    back_off = [
        {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off {time} restarting"}}
        for time in ("10s", "20s", "40s")
    ]
    running = {"running": {"startedAt": "1970-01-01T00:00:01Z"}}
    ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
    loop = [state for waiting in back_off for state in (waiting, running, ended)]
    failing = (
        "pod model-1 has failed: the container model ended with exit code 1 (Error) and has not"
        " started again"
    )
    assert [problems(snapshot(crashing(state))) for state in loop] == [{"failing": failing}] * 9
    assert problems(snapshot(crashing(running, restarts=0))) == {}
    assert problems(snapshot(crashing(running, started=True))) == {}


def test_a_selector_is_written_as_the_query_for_pods() -> None:
    selector = Selector.model_validate(
        {
            "matchLabels": {"app": "model", "tier": "a"},
            "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["x", "y"]},
                {"key": "kind", "operator": "NotIn", "values": ["z"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "new", "operator": "Exists"},
            ],
        }
    )
    assert selector.as_query() == "app=model,tier=a,zone in (x,y),kind notin (z),!old,new"


PHASES = st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown"])
CONDITIONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["Ready", "PodScheduled", "Initialized"]),
        "status": st.sampled_from(["True", "False", "Unknown"]),
        "lastTransitionTime": st.sampled_from([None, "1970-01-01T00:00:02Z"]),
    }
)
STATUSES = st.fixed_dictionaries(
    {
        "phase": PHASES,
        "conditions": st.lists(CONDITIONS, max_size=3),
        "containerStatuses": st.lists(
            st.builds(waiting, st.sampled_from(["", "ContainerCreating", "ErrImagePull"])),
            max_size=2,
        ),
    }
)


@given(st.lists(st.tuples(STATUSES, st.booleans()), max_size=6), st.integers(0, 9))
def test_whatever_the_pods_the_counts_are_those_of_the_replicas(
    statuses: list[tuple[dict[str, Any], bool]], desired: int
) -> None:
    pods = [pod(f"model-{number}", **status) for number, (status, _) in enumerate(statuses)]
    pods = [draining(one) if gone else one for one, (_, gone) in zip(pods, statuses, strict=True)]
    status = ReplicaStatus.of(desired, snapshot(*pods).as_replicas())
    check_consistent(status)
    assert status.desired == desired
    assert status.running <= len(pods)
    problems(snapshot(*pods))
