"""The requests to the API server, with the official client."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import aiohttp
from kubernetes.aio import client, config
from pydantic import BaseModel, ValidationError

from tidegate.os_errors import connection_error_message
from tidegate.resizer.contract import ResizerUnavailableError
from tidegate.resizer.kubernetes.objects import (
    HOLD,
    RESIZER,
    Deployment,
    Failure,
    PodList,
    Scale,
)
from tidegate.resizer.kubernetes.pods import Snapshot, owned
from tidegate.runtime.daemon import CannotStartError

# Less than two ticks of an autoscaler that waits for it.
TIMEOUT_SECONDS: Final = 2.0
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE: Final = "default"
# Server-side apply. The API server keeps with a number who applied it, also with 0; of a 0 that is patched or
# put through the scale subresource it keeps nobody (`kubectl scale`, an HPA, KEDA).
APPLY: Final = "application/apply-patch+yaml"
# Any stored version: from the API server's cache, without a read from etcd.
ANY_VERSION: Final = "0"
ERROR_BYTES: Final = 200
Model = TypeVar("Model", bound=BaseModel)


class ClusterError(ResizerUnavailableError):
    """The API server cannot be reached or refuses a request. The text says which and what to do."""


class ScaledDeployment(Protocol):
    """A Deployment whose number of pods can be read and set."""

    async def read(self) -> Snapshot:
        """The Deployment and its pods now.

        Raises:
            ClusterError: the API server cannot be reached, or refuses.
        """
        ...

    async def scale(self, replicas: int) -> None:
        """Set `spec.replicas`.

        Raises:
            ClusterError: the API server cannot be reached, or refuses.
        """
        ...

    async def hold(self) -> None:
        """Record in the Deployment that its 0 was set by hand.

        Raises:
            ClusterError: the API server cannot be reached, or refuses.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClusterDeployment:
    """A Deployment in a cluster.

    Attributes:
        api_client: the connection; the caller closes it.
        name: of the Deployment.
        namespace: its namespace.
        clock: seconds on a monotonic clock.
        timeout_seconds: of one request.
    """

    api_client: Any
    name: str
    namespace: str
    clock: Callable[[], float]
    timeout_seconds: float = TIMEOUT_SECONDS

    async def deployment(self) -> Deployment:
        """The Deployment alone, which needs fewer permissions.

        Raises:
            ClusterError: the API server cannot be reached, or refuses.
        """
        apps = client.AppsV1Api(self.api_client)
        return await self._call(
            Deployment,
            partial(
                apps.read_namespaced_deployment_without_preload_content, self.name, self.namespace
            ),
        )

    async def read(self) -> Snapshot:
        """See `ScaledDeployment`."""
        at, core = self.clock(), client.CoreV1Api(self.api_client)
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
        """See `ScaledDeployment`."""
        await self._apply(replicas, RESIZER)

    async def hold(self) -> None:
        """See `ScaledDeployment`."""
        await self._apply(0, HOLD)

    async def _apply(self, replicas: int, manager: str) -> None:
        apps = client.AppsV1Api(self.api_client)
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

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self.api_client.configuration.host)

    async def _call(self, kind: type[Model], call: Callable[..., Awaitable[Any]]) -> Model:
        try:
            response = await call(_request_timeout=self.timeout_seconds)
            body = await response.read()
        except TimeoutError as error:
            raise ClusterError(
                f"the API server at {self.server} does not answer within {self.timeout_seconds:g} s"
            ) from error
        except config.ConfigException as error:
            raise ClusterError(f"the service account's token cannot be read: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(
                f"the API server at {self.server} cannot be reached: {connection_error_message(error)}"
            ) from error
        if not 200 <= response.status < 300:
            raise ClusterError(self._refusal(response.status, body))
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise ClusterError(
                f"the response of the API server at {self.server} cannot be read: {_first(error)}"
            ) from error

    def _refusal(self, status: int, body: bytes) -> str:
        reason = _reason(body)
        if status == 404:
            return (
                f"there is no Deployment {self.name} in namespace {self.namespace}: create it, or correct"
                " resizer.deployment or resizer.kubernetes_namespace"
            )
        if status == 403:
            return f"the API server does not allow it: {reason}; the Role in the chart allows it"
        if status == 401:
            return (
                f"the API server at {self.server} does not accept the credentials: {reason}; check the"
                " service account's token or the kubeconfig file"
            )
        return f"the API server at {self.server} answered {status}: {reason}"


@asynccontextmanager
async def open_deployment(
    name: str,
    namespace: str,
    clock: Callable[[], float],
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> AsyncIterator[ClusterDeployment]:
    """Connect with the pod's service account, or outside of a cluster with the kubeconfig file.

    Args:
        name: of the Deployment.
        namespace: its namespace; empty: the pod's own, or that of the kubeconfig file's context.
        clock: seconds on a monotonic clock.
        timeout_seconds: of one request.

    Raises:
        CannotStartError: there are no credentials, or they cannot be read.
    """
    configuration = client.Configuration()
    own_namespace = await _load(configuration)
    async with client.ApiClient(configuration) as api_client:
        yield ClusterDeployment(
            api_client, name, namespace or own_namespace, clock, timeout_seconds
        )


async def _load(configuration: Any) -> str:
    """Load the credentials; returns the own namespace."""
    try:
        if "KUBERNETES_SERVICE_HOST" in os.environ:
            # It reads the token anew each minute: Kubernetes replaces it before it expires.
            config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]
            path = SERVICE_ACCOUNT / "namespace"
            return path.read_text(encoding="utf-8").strip() or DEFAULT_NAMESPACE
        loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
            client_configuration=configuration
        )
        return str(loader.current_context["context"].get("namespace") or DEFAULT_NAMESPACE)
    except (config.ConfigException, OSError) as error:
        raise CannotStartError(
            f"no credentials for the cluster: {str(error).rstrip('.')}; run it in a pod with a service"
            " account, or set KUBECONFIG to a kubeconfig file"
        ) from error


def _reason(body: bytes) -> str:
    try:
        return Failure.model_validate_json(body).message
    except ValidationError:
        return body[:ERROR_BYTES].decode(errors="replace").strip() or "without a reason"


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
