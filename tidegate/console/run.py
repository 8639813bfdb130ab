"""`tidegate console`: the process of the console."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tidegate.console.app import create_app
from tidegate.console.sources import open_sources
from tidegate.runtime.connections import Connections
from tidegate.runtime.daemon import CannotStartError, requires_port, run_async_daemon
from tidegate.runtime.event_log import APP, EventLog
from tidegate.runtime.secret_files import ReplaceableSecret, SecretFileError
from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.supervisor.programs import token_problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp

NAME: Final = "console"
# Live pages end at once; a request that is being answered gets this long.
SHUTDOWN_SECONDS: Final = 2
M_ARENA_MAX: Final = -8  # of glibc's <malloc.h>


def run(settings: Settings, *, prometheus: str = "") -> int:
    """Serve the console until SIGTERM or SIGINT, from the sources of `open_sources`.

    Returns:
        The exit code: 0, or 2 if it cannot start (and the reason is on stderr).
    """
    with suppress(AttributeError):  # another C library than glibc
        # What the threads of searches have freed, all can use again: 6 MB less with the page of scaling open.
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)
    settings = with_absolute_paths(settings, Path.cwd())
    return run_async_daemon(NAME, lambda: _serve(settings, prometheus), (SecretFileError,))


class ConsoleServer(uvicorn.Server):
    """uvicorn with bounded connections, which leaves the signals to the daemon."""

    def __init__(self, app: ASGIApp, connections: Connections | None = None) -> None:
        open_ones = self._connections = connections or Connections()

        class Protocol(_CountedProtocol):
            bounds = open_ones

        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                lifespan="off",
                access_log=False,
                log_level="warning",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                # asyncio accepts as many in one turn.
                backlog=128,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set."""
        async with self._connections.enforced():
            await super().serve(sockets)


class _CountedProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """A connection of uvicorn, by the parser that is installed."""

    bounds: Connections

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.bounds.opened(self, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self.bounds.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._count()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._count()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.bounds.waits(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._count()

    def _count(self) -> None:
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            self.bounds.waits(self)
        else:
            self.bounds.works(self)


async def _serve(settings: Settings, prometheus: str) -> None:
    tokens, host, port = _tokens(settings), settings.stack.host, settings.console.port
    with requires_port("console.port", port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    with closing(EventLog.to_files(settings, NAME, APP)) as event_log:
        async with open_sources(settings, prometheus) as sources:
            app, live = create_app(sources, event_log, tokens)
            server = ConsoleServer(app)
            serving = asyncio.create_task(server.serve([listener]))
            try:
                await asyncio.shield(serving)
            finally:
                live.close()
                server.should_exit = True
                await serving


def _tokens(settings: Settings) -> Callable[[], Sequence[str]]:
    if path := settings.console.token_file:
        return ReplaceableSecret(path, "console.token_file", time.monotonic)
    if problem := token_problem(settings):
        raise CannotStartError(problem)
    return tuple
