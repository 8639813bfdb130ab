"""HAProxy's runtime API: drains replicas and the gateway, and sets the requests that a replica gets at once.

Its socket has the level admin, which gives full control of the gateway. So it is a Unix socket of mode 0600.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tidegate.runtime.unix_sockets import unix_address

TIMEOUT_SECONDS: Final = 2.0
PROXY: Final = "model"
CLIENTS: Final = "http_in"  # the frontend
WAITING: Final = "waiting"  # the server that the plug occupies (observability/haproxy/waiting.lua)
_SERVER: Final = re.compile(rf"{PROXY}(\d+)")
# How HAProxy confirms an address.
ADDRESS_IS_SET: Final = re.compile("changed from|no need to change")
# Type 4 is servers, id -1 all of them (HAProxy's management guide, "show stat").
SHOW_SERVERS: Final = f"show stat {PROXY} 4 -1"
# Type 2 is the backend itself.
SHOW_REQUESTS: Final = f"show stat {PROXY} 6 -1"


class Server(NamedTuple):
    """A replica's server: the requests that it gets at once, those that it has, whether it gets more.

    One that is not `enabled` is neither checked nor up.
    """

    limit: int
    requests: int
    is_up: bool
    enabled: bool = True


class RuntimeApiError(RuntimeError):
    """The gateway refuses a command. The text contains HAProxy's message."""


class GatewayUnavailableError(RuntimeApiError):
    """The gateway does not answer now, for example because it is starting."""


class GatewayBusyError(GatewayUnavailableError):
    """The gateway gives no answer although it may run; it may still execute the command."""


@dataclass(frozen=True, slots=True)
class RuntimeApi:
    """The runtime API behind a socket. Each call opens a connection, as the gateway may have restarted.

    It raises GatewayUnavailableError if the gateway does not answer, RuntimeApiError if it refuses or if its
    answer cannot be parsed.

    Attributes:
        path: of the socket, of any length.
    """

    path: Path

    async def servers(self) -> dict[int, Server]:
        """The server of each replica that may run, by its index."""
        return parse_servers(await self._execute(SHOW_SERVERS))

    async def limits(self) -> dict[int, int]:
        """The requests that it sends each server at once, by the server's index."""
        return {index: server.limit for index, server in (await self.servers()).items()}

    async def set_limit(self, indexes: Iterable[int], slots: int) -> None:
        """Send these servers at most this many requests at once; requests in flight continue."""
        await self._set(f"maxconn server {_server(index)} {slots}" for index in indexes)

    async def enable(self, index: int) -> None:
        """Send this server requests at once, and check it again; what `remove` ended."""
        await self._set([f"server {_server(index)} state ready"])

    async def use(self, index: int, host: str, port: int) -> None:
        """Give this server an address, and requests from its first successful check."""
        server = _server(index)
        command = f"set server {server} addr {host} port {port}"
        answer = (await self._execute(command)).strip()
        if not ADDRESS_IS_SET.search(answer):
            raise RuntimeApiError(f"HAProxy refuses `{command}`: {answer}")
        # A server that leaves the state maint is up, but not one that leaves the state drain.
        steps = ("state drain", "health down", "state ready")
        await self._set(f"server {server} {step}" for step in steps)

    async def remove(self, index: int) -> None:
        """Send this server no more requests, and check it no more; requests in flight continue."""
        await self._set([f"server {_server(index)} state maint"])

    async def accept_no_more(self) -> None:
        """Close the port for clients, and each of their connections after its next response.

        All else goes on, unlike after SIGUSR1: the replicas are checked, and requests wait for one.
        """
        await self._order(f"shutdown frontend {CLIENTS}")

    async def requests(self) -> int:
        """The number of requests that wait for a replica or are at one."""
        return parse_requests(await self._execute(SHOW_REQUESTS))

    async def _set(self, values: Iterable[str]) -> None:
        if commands := ";".join(f"set {value}" for value in values):
            await self._order(commands)

    async def _order(self, commands: str) -> None:
        if output := (await self._execute(commands)).strip():
            raise RuntimeApiError(f"HAProxy refuses `{commands}`: {output}")

    async def _execute(self, commands: str) -> str:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                with unix_address(self.path) as address:
                    reader, writer = await asyncio.open_unix_connection(address)
                try:
                    writer.write(commands.encode() + b"\n")
                    await writer.drain()
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise GatewayUnavailableError(
                f"the gateway cannot be reached at {self.path}"
            ) from error
        except OSError as error:  # among them a timeout, a reset, and too many open files
            raise GatewayBusyError(f"the gateway does not answer at {self.path}") from error


def _server(index: int) -> str:
    return f"{PROXY}/{PROXY}{index}"


def parse_servers(answer: str) -> dict[int, Server]:
    """Each replica's server, by its index, from HAProxy's answer to `SHOW_SERVERS`.

    Servers with other names are no replicas and are left out.

    Raises:
        RuntimeApiError: the answer cannot be parsed.
    """
    try:
        found = {
            # `UP 1/3`: a check has failed, and the server still gets requests.
            int(server[1]): Server(
                limit=int(row["slim"]),
                requests=int(row["scur"]),
                is_up=row["status"].startswith("UP"),
                enabled=not row["status"].startswith("MAINT"),
            )
            for row in _rows(answer)
            if (server := _SERVER.fullmatch(row["svname"]))
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        found = {}
    if not found:
        raise _unreadable(answer)
    return found


def parse_requests(answer: str) -> int:
    """The number of requests in the backend without the plug, from HAProxy's answer to `SHOW_REQUESTS`.

    Raises:
        RuntimeApiError: the answer cannot be parsed.
    """
    try:
        sessions = {row["svname"]: int(row["scur"]) for row in _rows(answer)}
        return sessions["BACKEND"] - sessions.get(WAITING, 0)
    except (KeyError, ValueError, TypeError) as error:
        raise _unreadable(answer) from error


def _rows(answer: str) -> list[dict[str, str]]:
    """The rows of the backend in a table of HAProxy."""
    rows = csv.DictReader(answer.lstrip("# ").splitlines())
    return [row for row in rows if row["pxname"] == PROXY]


def _unreadable(answer: str) -> RuntimeApiError:
    return RuntimeApiError(f"the gateway's answer cannot be parsed: {answer[:200]!r}")
