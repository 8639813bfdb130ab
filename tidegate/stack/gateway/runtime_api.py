"""HAProxy's runtime interface: how many requests it sends each replica at once, while it runs.

Its socket is at level admin, which can do anything to the gateway. So it is a Unix socket of mode 0600, and
there is none unless slots may change.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.unix_sockets import unix_address

CALL_SECONDS: Final = 2.0
PROXY: Final = "model"
_SERVER: Final = re.compile(rf"{PROXY}(\d+)")
# Type 4 is servers, id -1 all of them (HAProxy's management guide, "show stat").
SHOW: Final = f"show stat {PROXY} 4 -1"


class AdminError(RuntimeError):
    """The gateway does not do what it was told. Its text has HAProxy's own words."""


class GatewayAwayError(AdminError):
    """The gateway cannot be asked now: it is being started, for instance."""


@dataclass(frozen=True, slots=True)
class GatewayAdmin:
    """Asks the HAProxy behind a socket. It holds no connection: the gateway may be another after a restart.

    Attributes:
        path: the socket's, of any length.
    """

    path: Path

    async def limits(self) -> dict[int, int]:
        """The requests that it sends each server at once, by the server's number.

        Raises:
            GatewayAwayError: it cannot be asked.
            AdminError: its answer cannot be read.
        """
        return read_limits(await self._ask(SHOW))

    async def limit(self, numbers: Iterable[int], slots: int) -> None:
        """Send these servers so many requests at once from now on; those under way go on.

        Raises:
            GatewayAwayError: it cannot be asked.
            AdminError: it refuses.
        """
        commands = [f"set maxconn server {PROXY}/{PROXY}{number} {slots}" for number in numbers]
        if commands and (said := (await self._ask(";".join(commands))).strip()):
            raise AdminError(f"HAProxy refuses other slots: {said}")

    async def _ask(self, commands: str) -> str:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                with unix_address(self.path) as address:
                    reader, writer = await asyncio.open_unix_connection(address)
                try:
                    writer.write(commands.encode() + b"\n")
                    await writer.drain()
                    return (await reader.read()).decode(errors="replace")
                finally:
                    writer.close()
        except TimeoutError as error:
            raise GatewayAwayError(f"the gateway does not answer at {self.path}") from error
        except OSError as error:
            raise GatewayAwayError(f"the gateway cannot be reached at {self.path}") from error


def read_limits(answer: str) -> dict[int, int]:
    """The limit of each replica's server, by its number, in HAProxy's answer to `SHOW`.

    Servers that are no replica's, and so have other names, are left out.

    Raises:
        AdminError: that is no such answer.
    """
    rows: Iterable[Mapping[str, str]] = csv.DictReader(answer.lstrip("# ").splitlines())
    try:
        found = {
            int(server[1]): int(row["slim"])
            for row in rows
            if row["pxname"] == PROXY and (server := _SERVER.fullmatch(row["svname"]))
        }
    except (KeyError, ValueError, TypeError, AttributeError):
        found = {}
    if not found:
        raise AdminError(f"the gateway's answer cannot be read: {answer[:200]!r}")
    return found
