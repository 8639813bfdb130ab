"""HAProxy's servers in Kubernetes: their addresses follow those of the pods."""

from __future__ import annotations

import asyncio
import socket
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
    """Which server has which address.

    Attributes:
        admin: HAProxy's runtime API.
        port: of each replica.
        number: of servers; further addresses wait until one is free.
    """

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
    admin: RuntimeApi, service: str, dns_name: str, number: int, *, ipv6: bool
) -> AsyncIterator[None]:
    """Set the addresses of a Service's pods while the block runs.

    Args:
        admin: HAProxy's runtime API.
        service: the name of the Service, in the own namespace.
        dns_name: name:port of its pods, resolved until the API server has answered once.
        number: of servers in HAProxy.
        ipv6: whether the addresses are of IPv6, else of IPv4.

    Raises:
        CannotStartError: there are no credentials for the API server.
    """
    host, _, port = dns_name.rpartition(":")
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    async with open_api_server(TIMEOUT_SECONDS) as api, asyncio.TaskGroup() as group:
        read = partial(read_addresses, api, service, "IPv6" if ipv6 else "IPv4")
        servers = ReplicaServers(admin, int(port), number)
        task = group.create_task(follow(servers, read, partial(resolve, host, family)))
        try:
            yield
        finally:
            task.cancel()


async def follow(servers: ReplicaServers, read: Read, resolve: Read) -> NoReturn:
    """Set what is read each second; what was read last stays while it cannot be read.

    Args:
        servers: where the addresses are set.
        read: reads the addresses from the API server.
        resolve: resolves them by DNS: used until they were read once.
    """
    known, problem = False, ""
    while True:
        try:
            addresses = await read()
        except ApiServerError as error:
            if problem != (problem := str(error)):
                sys.stderr.write(f"gateway: {problem}\n")
            with suppress(OSError, RuntimeApiError):
                if not known:
                    await servers.update(await resolve())
        else:
            if problem:
                sys.stderr.write("gateway: the API server answers again\n")
            known, problem = True, ""
            with suppress(RuntimeApiError):  # HAProxy starts, or is busy
                await servers.update(addresses)
        await asyncio.sleep(POLL_SECONDS)


async def resolve(host: str, family: socket.AddressFamily) -> frozenset[str]:
    """The addresses of a host.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, None, family=family, type=socket.SOCK_STREAM
    )
    return frozenset(str(address[0]) for *_, address in found)
