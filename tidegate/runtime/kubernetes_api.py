"""Requests to the API server of Kubernetes, with the official client, and its errors in one sentence."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import aiohttp
from kubernetes.aio import client, config
from pydantic import BaseModel, Field, ValidationError

from tidegate.os_errors import connection_error_message
from tidegate.runtime.daemon import CannotStartError

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
DEFAULT_NAMESPACE: Final = "default"
# Any stored version: from the API server's cache, without a read from etcd.
ANY_VERSION: Final = "0"
ERROR_BYTES: Final = 200
Model = TypeVar("Model", bound=BaseModel)


class ApiServerError(RuntimeError):
    """The API server cannot be reached or refuses a request. The text says which and what to do."""


class Failure(BaseModel):
    """The body of an error (`kind: Status`)."""

    message: str = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A connection to the API server.

    Attributes:
        api_client: the official client; the caller closes it.
        namespace: the pod's own, or that of the kubeconfig file's context.
        timeout_seconds: of one request.
    """

    api_client: Any
    namespace: str
    timeout_seconds: float

    @property
    def url(self) -> str:
        """Its URL."""
        return str(self.api_client.configuration.host)

    async def read(
        self, kind: type[Model], call: Callable[..., Awaitable[Any]], *, missing: str
    ) -> Model:
        """The response to a request.

        Args:
            kind: what it contains.
            call: the request: a method of the official client, with everything but its timeout.
            missing: the text of the error if there is no such object.

        Raises:
            ApiServerError: the API server cannot be reached, or refuses.
        """
        try:
            response = await call(_request_timeout=self.timeout_seconds)
            body = await response.read()
        except TimeoutError as error:
            raise ApiServerError(
                f"the API server at {self.url} does not answer within {self.timeout_seconds:g} s"
            ) from error
        except config.ConfigException as error:
            raise ApiServerError(f"the service account's token cannot be read: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiServerError(
                f"the API server at {self.url} cannot be reached: {connection_error_message(error)}"
            ) from error
        if not 200 <= response.status < 300:
            raise ApiServerError(self._refusal(response.status, body, missing))
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            raise ApiServerError(
                f"the response of the API server at {self.url} cannot be read: {_first(error)}"
            ) from error

    def _refusal(self, status: int, body: bytes, missing: str) -> str:
        reason = _reason(body)
        if status == 404:
            return missing
        if status == 403:
            return f"the API server does not allow it: {reason}; the Role in the chart allows it"
        if status == 401:
            return (
                f"the API server at {self.url} does not accept the credentials: {reason}; check the"
                " service account's token or the kubeconfig file"
            )
        return f"the API server at {self.url} answered {status}: {reason}"


@asynccontextmanager
async def open_api_server(timeout_seconds: float) -> AsyncIterator[ApiServer]:
    """Connect with the pod's service account, or outside of a cluster with the kubeconfig file.

    Raises:
        CannotStartError: there are no credentials, or they cannot be read.
    """
    configuration = client.Configuration()
    namespace = await _load(configuration)
    async with client.ApiClient(configuration) as api_client:
        yield ApiServer(api_client, namespace, timeout_seconds)


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
    """Where the first error is, and what is wrong there."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"
