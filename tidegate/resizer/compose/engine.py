"""The few calls of the Docker Engine API that a resizer makes, over the engine's Unix socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from tidegate.runtime.unix_sockets import unix_address

Json = dict[str, Any]

OLDEST_API: Final = (1, 41)
"""Engine 20.10, the oldest that the tests run on."""
CALL_SECONDS: Final = 10.0
# The engine waits that long for a container to end, and then needs some time of its own.
STOP_EXTRA_SECONDS: Final = 20.0
EVENTS: Final = ("create", "start", "kill", "die", "stop", "destroy", "rename", "health_status")
PROJECT_LABEL: Final = "com.docker.compose.project"
SERVICE_LABEL: Final = "com.docker.compose.service"
NUMBER_LABEL: Final = "com.docker.compose.container-number"
ONE_OFF_LABEL: Final = "com.docker.compose.oneoff"


class EngineError(RuntimeError):
    """The engine refused a call. `status` is its HTTP status, the text its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class EngineGoneError(RuntimeError):
    """The engine cannot be reached, or does not answer in time."""


class EngineTooOldError(RuntimeError):
    """The engine's API lacks what is needed. Its text names both versions."""


class Engine:
    """Asks one engine, in its own version of the API.

    What `inspect` returns goes back into `create` unchanged, so both must be of one version, and the
    engine's own is the one in which nothing is left out.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._prefix = "http://docker"

    async def choose_version(self) -> None:
        """Find out which API the engine speaks. To be called before any other call.

        Raises:
            EngineTooOldError: it is older than 20.10.
            EngineGoneError: it cannot be reached.
            EngineError: it is no Docker engine.
        """
        found = await self._call("GET", "/version")
        version = str(found.get("ApiVersion", "0.0"))
        if tuple(map(int, version.split("."))) < OLDEST_API:
            raise EngineTooOldError(
                f"Docker {found.get('Version', '?')} speaks version {version} of its API; needed is "
                f"{OLDEST_API[0]}.{OLDEST_API[1]}, which came with Docker 20.10"
            )
        self._prefix = f"http://docker/v{version}"

    async def replicas(self, project: str, service: str, but: Collection[int] = ()) -> list[Json]:
        """Every container of a Compose service, running or not, as `inspect` shows it.

        Args:
            project: the Compose project.
            service: its service.
            but: numbers to leave out. Of a container that is being started, the engine tells nothing
                until it has been, which can take seconds.
        """
        listed = await self._call(
            "GET", "/containers/json", {"all": "1", "filters": _filters(project, service)}
        )
        found = []
        left_out = {str(number) for number in but}
        for one in listed:
            if one["Labels"].get(NUMBER_LABEL) in left_out:
                continue
            try:
                found.append(await self.inspect(one["Id"]))
            except EngineError as error:
                if error.status != 404:  # it went between the two calls
                    raise
        return found

    async def inspect(self, container: str) -> Json:
        """All that the engine knows about a container."""
        return _as_object(await self._call("GET", f"/containers/{container}/json"))

    async def running(self, project: str) -> list[Json]:
        """Every running container of a Compose project, as the engine lists them; one-offs included."""
        label = json.dumps({"label": [f"{PROJECT_LABEL}={project}"]})
        return list(await self._call("GET", "/containers/json", {"filters": label}))

    async def memory(self, container: str) -> Json:
        """`memory_stats` of a container, from one reading; empty if it has ended."""
        reading = {"stream": "false", "one-shot": "true"}
        found = _as_object(await self._call("GET", f"/containers/{container}/stats", reading))
        return dict(found.get("memory_stats") or {})

    async def image_id(self, name: str) -> str | None:
        """The id of the image that has this name now; None if there is none."""
        try:
            return str((await self._call("GET", f"/images/{name}/json"))["Id"])
        except EngineError as error:
            if error.status != 404:
                raise
            return None

    async def create(self, name: str, body: Json) -> str:
        """Make a container; returns its id."""
        made = await self._call("POST", "/containers/create", {"name": name}, body)
        return str(made["Id"])

    async def connect(self, network: str, container: str, endpoint: Json) -> None:
        """Connect a container to a network."""
        body = {"Container": container, "EndpointConfig": endpoint}
        await self._call("POST", f"/networks/{network}/connect", None, body)

    async def start(self, container: str) -> None:
        """Start a container; nothing happens if it runs."""
        await self._call("POST", f"/containers/{container}/start")

    async def update(self, container: str, limits: Json) -> None:
        """Change the limits of a container while it runs, as `docker update` does."""
        await self._call("POST", f"/containers/{container}/update", None, limits)

    async def stop(self, container: str, seconds: float) -> None:
        """Ask a container to end, kill it after `seconds`; returns when it has ended."""
        await self._call(
            "POST",
            f"/containers/{container}/stop",
            {"t": str(round(seconds))},
            seconds=seconds + STOP_EXTRA_SECONDS,
        )

    async def remove(self, container: str) -> None:
        """Remove a container that does not run, with its anonymous volumes."""
        await self._call("DELETE", f"/containers/{container}", {"v": "1"})

    async def events(self, project: str, service: str) -> AsyncIterator[Json]:
        """What happens to the containers of a Compose service, for as long as the engine lives."""
        parameters = {"filters": _filters(project, service, type=["container"], event=[*EVENTS])}
        forever = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS)
        try:
            async with self._session.get(
                self._prefix + "/events", params=parameters, timeout=forever
            ) as answer:
                if answer.status != 200:
                    raise EngineError(answer.status, _reason(await answer.read()))
                async for line in answer.content:
                    yield _as_object(json.loads(line))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineGoneError(f"the engine's events cannot be read: {error}") from error

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
            ) as answer:
                said = await answer.read()
                if answer.status >= 400:
                    raise EngineError(answer.status, _reason(said))
                return json.loads(said) if said.strip() else {}
        except TimeoutError as error:
            raise EngineGoneError(f"no answer to {method} {path} within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineGoneError(f"the Docker engine cannot be reached: {error}") from error


@asynccontextmanager
async def open_engine(socket: Path) -> AsyncIterator[Engine]:
    """The engine at a Unix socket, inside the block."""
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
        raise EngineGoneError("the engine's answer is no JSON object")
    return value


def _reason(said: bytes) -> str:
    try:
        return str(json.loads(said)["message"])
    except (ValueError, KeyError, TypeError):
        return said[:200].decode(errors="replace").strip() or "no reason given"
