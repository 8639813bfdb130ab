"""The HTTP interface of Ray Serve: what is deployed, and how many replicas there shall be.

https://docs.ray.io/en/latest/serve/api/index.html#serve-rest-api
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ValidationError

from tidegate.resizer.contract import ResizeRefusedError, ResizerUnavailableError
from tidegate.runtime.http_client import HttpClient, HttpError

TESTED_VERSION: Final = "2.60"
TIMEOUT_SECONDS: Final = 1.5
"""Less than the 2 s that a client waits for the resizer, so that it gets the reason."""
ERROR_CHARACTERS: Final = 300


class ServeReplica(BaseModel):
    """A replica as Ray reports it."""

    replica_id: str
    state: str
    start_time_s: float


class ServeDeployment(BaseModel):
    """A deployment as Ray reports it."""

    status: str
    message: str = ""
    target_num_replicas: int
    replicas: list[ServeReplica]


class ServeApplication(BaseModel):
    """An application as Ray reports it. An older Ray has no `external_scaler_enabled`."""

    status: str
    message: str = ""
    external_scaler_enabled: bool | None = None
    deployments: dict[str, ServeDeployment]

    @property
    def state(self) -> str:
        """Its status, and the last line of the message, which says why it is not deployed."""
        reason = self.message.strip().rpartition("\n")[2][:ERROR_CHARACTERS]
        return ": ".join(filter(None, (self.status, reason)))


class _Details(BaseModel):
    applications: dict[str, ServeApplication]


class ServeApi:
    """One deployment of Ray Serve, by the address of Ray's dashboard, http://HOST:PORT.

    Without a token of the cluster none is sent. The caller closes the session.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: str,
        application: str,
        deployment: str,
        token: str,
    ) -> None:
        self.address: Final = address.rstrip("/")
        self.application: Final = application
        self.deployment: Final = deployment
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = HttpClient(
            session, self.address, headers, seconds=TIMEOUT_SECONDS, name="Ray"
        )

    async def read(self) -> ServeDeployment:
        """The deployment now.

        Raises:
            ResizerUnavailableError: Ray cannot be reached or has no such deployment, or its number cannot be
                set from outside. The text says which, and what to do.
        """
        try:
            body = await self._client.call("GET", "/api/serve/applications/")
            applications = _Details.model_validate_json(body).applications
        except HttpError as error:
            raise ResizerUnavailableError(self._explain(error)) from error
        except ValidationError as error:
            raise ResizerUnavailableError(
                f"the response of Ray at {self.address} cannot be read: it is not that of Ray Serve"
                f" {TESTED_VERSION} (ray.address)"
            ) from error
        application = applications.get(self.application)
        deployment = application and application.deployments.get(self.deployment)
        if not application or not deployment:
            state = f" (it is {application.state})" if application else ""
            raise ResizerUnavailableError(
                f"Ray at {self.address} has no deployment {self.deployment!r} in application"
                f" {self.application!r}{state}: deploy it, or set ray.application and ray.deployment"
            )
        if not application.external_scaler_enabled:
            raise ResizerUnavailableError(
                f"application {self.application!r} does not let its replicas be set from outside: write"
                " external_scaler_enabled: true for it in the configuration of serve deploy, and deploy it"
                f" again, with Ray {TESTED_VERSION} or later"
            )
        return deployment

    async def scale(self, replicas: int) -> None:
        """Request a number of replicas.

        Raises:
            ResizeRefusedError: the number cannot be set from outside.
            ResizerUnavailableError: Ray cannot be reached, or has no such deployment.
        """
        path = (
            f"/api/v1/applications/{quote(self.application, safe='')}"
            f"/deployments/{quote(self.deployment, safe='')}/scale"
        )
        try:
            await self._client.call("POST", path, json={"target_num_replicas": replicas})
        except HttpError as error:
            if error.status == 412:
                raise ResizeRefusedError(f"Ray refuses the number: {error}") from error
            raise ResizerUnavailableError(self._explain(error)) from error

    def _explain(self, error: HttpError) -> str:
        if error.status in (401, 403):
            return f"Ray at {self.address} wants another token: see ray.token_file"
        return f"{error} (ray.address)"
