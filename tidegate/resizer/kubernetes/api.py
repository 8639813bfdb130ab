"""The requests to the API server about the Deployment."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kubernetes.aio import client

from tidegate.resizer.contract import ResizerUnavailableError
from tidegate.resizer.kubernetes.objects import HOLD, RESIZER, Deployment, PodList, Scale
from tidegate.resizer.kubernetes.pods import Snapshot, owned
from tidegate.runtime.kubernetes_api import (
    ANY_VERSION,
    ApiServer,
    ApiServerError,
    Model,
    open_api_server,
)

# Less than two ticks of an autoscaler that waits for it.
TIMEOUT_SECONDS: Final = 2.0
# Server-side apply. The API server keeps with a number who applied it, also with 0; of a 0 that is patched or
# put through the scale subresource it keeps nobody (`kubectl scale`, an HPA, KEDA).
APPLY: Final = "application/apply-patch+yaml"


class ClusterError(ResizerUnavailableError):
    """The API server cannot be reached or refuses a request. The text says which and what to do."""


@dataclass(frozen=True, slots=True)
class ClusterDeployment:
    """A Deployment in a cluster. Each call may raise ClusterError. The clock is monotonic, in seconds."""

    api: ApiServer
    name: str
    namespace: str
    clock: Callable[[], float]

    async def deployment(self) -> Deployment:
        """The Deployment alone, which needs fewer permissions."""
        apps = client.AppsV1Api(self.api.api_client)
        return await self._call(
            Deployment,
            partial(
                apps.read_namespaced_deployment_without_preload_content, self.name, self.namespace
            ),
        )

    async def read(self) -> Snapshot:
        """The Deployment and its pods now."""
        at, core = self.clock(), client.CoreV1Api(self.api.api_client)
        deployment = await self.deployment()
        pods = await self._call(
            PodList,
            partial(
                core.list_namespaced_pod_without_preload_content,
                self.namespace,
                label_selector=deployment.spec.selector.as_query(),
                resource_version=ANY_VERSION,
            ),
        )
        return Snapshot(deployment, owned(pods.items), at)

    async def scale(self, replicas: int) -> None:
        """Set `spec.replicas`."""
        await self._apply(replicas, RESIZER)

    async def hold(self) -> None:
        """Record in the Deployment that its 0 was set by hand."""
        await self._apply(0, HOLD)

    async def _apply(self, replicas: int, manager: str) -> None:
        apps = client.AppsV1Api(self.api.api_client)
        scale = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": self.name},
            "spec": {"replicas": replicas},
        }
        await self._call(
            Scale,
            partial(
                apps.patch_namespaced_deployment_scale_without_preload_content,
                self.name,
                self.namespace,
                scale,
                field_manager=manager,
                force=True,
                _content_type=APPLY,
            ),
        )

    async def _call(self, kind: type[Model], call: Callable[..., Awaitable[Any]]) -> Model:
        missing = (
            f"there is no Deployment {self.name} in namespace {self.namespace}: create it, or correct"
            " resizer.deployment or resizer.kubernetes_namespace"
        )
        try:
            return await self.api.read(kind, call, missing=missing)
        except ApiServerError as error:
            raise ClusterError(str(error)) from error


@asynccontextmanager
async def open_deployment(
    name: str,
    namespace: str,
    clock: Callable[[], float],
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[ClusterDeployment]:
    """Connect with the pod's service account, or outside of a cluster with the kubeconfig file.

    An empty namespace means the pod's own, or that of the kubeconfig file's context.

    Raises:
        CannotStartError: there are no credentials, or they cannot be read.
    """
    async with open_api_server(timeout_seconds) as api:
        yield ClusterDeployment(api, name, namespace or api.namespace, clock)
