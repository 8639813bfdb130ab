"""What happens in the cluster while it is observed: replicas over time, and what a person reads about it."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from support.kubernetes.control_plane import ControlPlane

EVERY_SECONDS: Final = 0.25
KEDA_GROUP: Final = ("keda.sh/v1alpha1", "scaledobjects")
HPA_GROUP: Final = ("autoscaling/v2", "horizontalpodautoscalers")


@dataclass(frozen=True)
class Sample:
    """The number of replicas of a Deployment from a moment on, in seconds on a monotonic clock."""

    at: float
    replicas: int


class Api:
    """Requests to the API server as the administrator."""

    def __init__(self, plane: ControlPlane) -> None:
        self._client = httpx.Client(
            base_url=plane.url,
            headers={"Authorization": f"Bearer {plane.tokens['admin']}"},
            verify=ssl.create_default_context(cafile=str(plane.pki / "ca.crt")),
            timeout=2.0,
            # Nothing of this machine's proxies.
            trust_env=False,
        )

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """The objects of a list; none if there is no such kind.

        Raises:
            httpx.HTTPError: the API server cannot be reached or refuses.
        """
        answer = self._client.get(path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []  # such objects are not defined: KEDA is not installed
        answer.raise_for_status()
        return list(answer.json()["items"])

    def set_status(self, path: str, status: dict[str, Any]) -> None:
        """Change the status of an object; one that is gone is no error."""
        self._client.patch(
            f"{path}/status",
            json={"status": status},
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Repeated(threading.Thread):
    """Calls a function again and again until it is stopped; a lost API server is no error."""

    def __init__(self, name: str, call: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            try:
                self._call()
            except httpx.HTTPError:
                continue

    def stop(self) -> None:
        """Stop it and wait."""
        self._stopped.set()
        self.join()


@dataclass
class Trace:
    """The replicas of one Deployment in each of several namespaces, read four times a second."""

    api: Api
    deployment: str
    _samples: dict[str, list[Sample]] = field(default_factory=dict)

    def read(self) -> None:
        """Read once.

        Raises:
            httpx.HTTPError: the API server cannot be reached.
        """
        found = self.api.items(
            "/apis/apps/v1/deployments", fieldSelector=f"metadata.name={self.deployment}"
        )
        now = time.monotonic()
        for one in found:
            samples = self._samples.setdefault(one["metadata"]["namespace"], [])
            replicas = int(one["spec"]["replicas"])
            if not samples or samples[-1].replicas != replicas:
                samples.append(Sample(now, replicas))

    def now(self, namespace: str) -> int:
        """The number at the last read; -1 before the first one."""
        samples = self._samples.get(namespace)
        return samples[-1].replicas if samples else -1

    def steady_seconds(self, namespace: str) -> float:
        """The time since the last change."""
        samples = self._samples.get(namespace)
        return time.monotonic() - samples[-1].at if samples else 0.0

    def since(self, namespace: str, at: float) -> list[Sample]:
        """The changes after a moment."""
        return [one for one in self._samples.get(namespace, []) if one.at > at]


def make_pods_ready(api: Api) -> None:
    """Report each pending pod as ready. It stands in for the kubelet of a node."""
    for pod in api.items("/api/v1/pods", fieldSelector="status.phase=Pending"):
        meta = pod["metadata"]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        api.set_status(
            f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}",
            {
                "phase": "Running",
                "startTime": now,
                "conditions": [
                    {"type": kind, "status": "True", "lastTransitionTime": now}
                    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
                ],
            },
        )


# The status of a condition while all is well.
USUAL: Final = {
    "Ready": "True",
    "Active": "True",
    "Fallback": "False",
    "Paused": "False",
    "ScalingActive": "True",
    "AbleToScale": "True",
}


def unusual_conditions(api: Api, namespace: str) -> list[str]:
    """The conditions of the ScaledObjects and HPAs in a namespace that are not as they are while all is well.

    Raises:
        httpx.HTTPError: the API server cannot be reached or refuses.
    """
    return [
        text
        for group, kind in ((KEDA_GROUP, "ScaledObject"), (HPA_GROUP, "HPA"))
        for one in api.items(f"/apis/{group[0]}/namespaces/{namespace}/{group[1]}")
        for text in _conditions(kind, one.get("status", {}).get("conditions", []))
    ]


def _conditions(kind: str, conditions: Iterable[dict[str, str]]) -> list[str]:
    return [
        f"{kind} {one['type']}={one['status']} {one.get('reason', '')}: {one.get('message', '')}"
        for one in conditions
        if USUAL.get(one["type"], one["status"]) not in {one["status"], "Unknown"}
        and one["status"] != "Unknown"
    ]
