"""The calls of the Docker Engine API that a resizer needs, over the engine's Unix socket.

Not by aiodocker (0.27: 4,900 lines): it has no update of a container's limits, no single sample of its memory
and no socket path of any length, so that half of these calls would go through its private methods.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from tidegate.runtime.unix_sockets import unix_address

Json = dict[str, Any]

MIN_API_VERSION: Final = (1, 41)
"""Engine 20.10, the oldest version that the tests run on."""
CALL_SECONDS: Final = 10.0
# Added to the stop timeout, because the engine needs some time after the container has exited.
STOP_EXTRA_SECONDS: Final = 20.0
EVENTS: Final = ("create", "start", "kill", "die", "stop", "destroy", "rename", "health_status")
PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
NUMBER_LABEL: Final = "com.docker.compose.container-number"
ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"


class EngineError(RuntimeError):
    """The engine refused a call. `status` is the HTTP status, the text is the engine's reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class EngineUnavailableError(RuntimeError):
    """The engine cannot be reached, or does not respond in time."""


class EngineTooOldError(RuntimeError):
    """The engine's API is too old. The text names both versions."""


class Engine:
    """A client of one engine, in the version of the API that the engine supports.

    Each call may raise EngineError or EngineUnavailableError.

    The output of `inspect` becomes the input of `create`, so both must use the same version, and only the
    engine's newest version leaves no field out.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._prefix = "http://docker"

    async def choose_version(self) -> None:
        """Find the version of the API that the engine supports. Must be the first call."""
        found = await self._call("GET", "/version")
        version = str(found.get("ApiVersion", "0.0"))
        if tuple(map(int, version.split("."))) < MIN_API_VERSION:
            raise EngineTooOldError(
                f"Docker {found.get('Version', '?')} supports API version {version}; the resizer needs "
                f"{MIN_API_VERSION[0]}.{MIN_API_VERSION[1]} (Docker 20.10) or later"
            )
        self._prefix = f"http://docker/v{version}"

    async def replicas(
        self, project: str, service: str, exclude: Collection[int] = ()
    ) -> list[Json]:
        """Every container of a Compose service, running or not, as `inspect` returns it.

        Args:
            project: the Compose project.
            service: the Compose service.
            exclude: container numbers to leave out. `inspect` of a container that is being started
                returns only after the start, which can take seconds.
        """
        listed = await self._call(
            "GET", "/containers/json", {"all": "1", "filters": _filters(project, service)}
        )
        found = []
        excluded = {str(number) for number in exclude}
        for one in listed:
            if one["Labels"].get(NUMBER_LABEL) in excluded:
                continue
            try:
                found.append(await self.inspect(one["Id"]))
            except EngineError as error:
                if error.status != 404:  # it was removed between the two calls
                    raise
        return found

    async def inspect(self, container: str) -> Json:
        """The output of `inspect` of a container."""
        return _as_object(await self._call("GET", f"/containers/{container}/json"))

    async def running_containers(self, project: str) -> list[Json]:
        """Every running container of a Compose project as the engine lists it, including one-off ones."""
        label = json.dumps({"label": [f"{PROJECT_LABEL}={project}"]})
        return list(await self._call("GET", "/containers/json", {"filters": label}))

    async def memory_stats(self, container: str) -> Json:
        """`memory_stats` of a container, from one sample; empty if it has exited."""
        parameters = {"stream": "false", "one-shot": "true"}
        found = _as_object(await self._call("GET", f"/containers/{container}/stats", parameters))
        return dict(found.get("memory_stats") or {})

    async def image_id(self, name: str) -> str | None:
        """The id of the image that the name refers to now; None if there is none."""
        try:
            return str((await self._call("GET", f"/images/{name}/json"))["Id"])
        except EngineError as error:
            if error.status != 404:
                raise
            return None

    async def create(self, name: str, body: Json) -> str:
        """Create a container; returns its id."""
        created = await self._call("POST", "/containers/create", {"name": name}, body)
        return str(created["Id"])

    async def connect(self, network: str, container: str, endpoint: Json) -> None:
        """Connect a container to a network."""
        body = {"Container": container, "EndpointConfig": endpoint}
        await self._call("POST", f"/networks/{network}/connect", None, body)

    async def start(self, container: str) -> None:
        """Start a container; no effect if it runs."""
        await self._call("POST", f"/containers/{container}/start")

    async def update(self, container: str, limits: Json) -> None:
        """Change the limits of a running container, as `docker update` does."""
        await self._call("POST", f"/containers/{container}/update", None, limits)

    async def stop(self, container: str, seconds: float) -> None:
        """Stop a container, kill it after `seconds`; returns when it has exited."""
        await self._call(
            "POST",
            f"/containers/{container}/stop",
            {"t": str(round(seconds))},
            seconds=seconds + STOP_EXTRA_SECONDS,
        )

    async def remove(self, container: str) -> None:
        """Remove a stopped container with its anonymous volumes."""
        await self._call("DELETE", f"/containers/{container}", {"v": "1"})

    async def events(self, project: str, service: str) -> AsyncIterator[Json]:
        """The events of the containers of a Compose service, until the connection to the engine ends."""
        parameters = {"filters": _filters(project, service, type=["container"], event=[*EVENTS])}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS)
        try:
            async with self._session.get(
                self._prefix + "/events", params=parameters, timeout=timeout
            ) as response:
                if response.status != 200:
                    raise EngineError(response.status, _reason(await response.read()))
                async for line in response.content:
                    yield _as_object(json.loads(line))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineUnavailableError(f"the engine's events cannot be read: {error}") from error

    async def _call(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, str] | None = None,
        body: Json | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        try:
            async with self._session.request(
                method,
                self._prefix + path,
                params=parameters,
                json=body,
                timeout=aiohttp.ClientTimeout(total=seconds),
            ) as response:
                content = await response.read()
                if response.status >= 400:
                    raise EngineError(response.status, _reason(content))
                return json.loads(content) if content.strip() else {}
        except TimeoutError as error:
            raise EngineUnavailableError(
                f"no response to {method} {path} within {seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineUnavailableError(f"the Docker engine cannot be reached: {error}") from error


@asynccontextmanager
async def open_engine(socket: Path) -> AsyncIterator[Engine]:
    """A client of the engine at a Unix socket."""
    with unix_address(socket) as address:
        connector = aiohttp.UnixConnector(path=address)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Engine(session)


def _filters(project: str, service: str, **more: list[str]) -> str:
    labels = [
        f"{PROJECT_LABEL}={project}",
        f"{SERVICE_LABEL}={service}",
        f"{ONE_OFF_LABEL}=False",
    ]
    return json.dumps({"label": labels, **more})


def _as_object(value: Any) -> Json:
    if not isinstance(value, dict):
        raise EngineUnavailableError("the engine's response is not a JSON object")
    return value


def _reason(content: bytes) -> str:
    try:
        return str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode(errors="replace").strip() or "no reason given"
