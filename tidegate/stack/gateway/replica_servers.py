"""HAProxy's servers in Kubernetes: their addresses follow those of the pods."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from tidegate.runtime.kubernetes_api import ApiServerError, open_api_server
from tidegate.stack.gateway.endpoint_slices import read_addresses
from tidegate.stack.gateway.runtime_api import RuntimeApi, RuntimeApiError

POLL_SECONDS: Final = 1.0
TIMEOUT_SECONDS: Final = 2.0
Read = Callable[[], Awaitable[Iterable[str]]]


@dataclass(slots=True)
class ReplicaServers:
    """Which of `number` servers has which address; further addresses wait until one is free."""

    admin: RuntimeApi
    port: int
    number: int
    used: dict[str, int] = field(default_factory=dict, init=False)
    _free: deque[int] = field(init=False)

    def __post_init__(self) -> None:
        self._free = deque(range(1, self.number + 1))

    async def update(self, addresses: Iterable[str]) -> None:
        """Send requests to these addresses and to no others; requests in flight continue.

        Raises:
            RuntimeApiError: HAProxy does not answer or refuses; the next call continues.
        """
        wanted = sorted(addresses)
        for gone in self.used.keys() - set(wanted):
            await self.admin.remove(self.used[gone])
            # The next one is that which was free for the longest time: requests of the others may still run.
            self._free.append(self.used.pop(gone))
        for added in wanted:
            if added not in self.used and self._free:
                await self.admin.use(self._free[0], added, self.port)
                self.used[added] = self._free.popleft()


@asynccontextmanager
async def following(
    admin: RuntimeApi, service: str, port: int, number: int, *, ipv6: bool
) -> AsyncIterator[None]:
    """Set the addresses of a Service's pods, in the own namespace, in `number` servers while the block runs.

    Raises:
        CannotStartError: there are no credentials for the API server.
    """
    async with open_api_server(TIMEOUT_SECONDS) as api, asyncio.TaskGroup() as group:
        read = partial(read_addresses, api, service, "IPv6" if ipv6 else "IPv4")
        task = group.create_task(follow(ReplicaServers(admin, port, number), read))
        try:
            yield
        finally:
            task.cancel()


async def follow(servers: ReplicaServers, read: Read) -> NoReturn:
    """Set what is read each second; what was read last stays while it cannot be read."""
    problem = ""
    while True:
        try:
            addresses = await read()
        except ApiServerError as error:
            if problem != (problem := str(error)):
                sys.stderr.write(f"gateway: {problem}\n")
        else:
            if problem:
                sys.stderr.write("gateway: the API server answers again\n")
            problem = ""
            with suppress(RuntimeApiError):  # HAProxy starts, or is busy
                await servers.update(addresses)
        await asyncio.sleep(POLL_SECONDS)
