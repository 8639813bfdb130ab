"""`tidegate console`: the process of the console."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from tidegate.console.app import create_app
from tidegate.console.sources import open_sources
from tidegate.runtime.connections import Connections
from tidegate.runtime.daemon import CannotStartError, run_async_daemon
from tidegate.runtime.event_log import APP, EventLog
from tidegate.runtime.heap import share_heap
from tidegate.runtime.http_server import listen
from tidegate.runtime.secret_files import ReplaceableSecret, SecretFileError
from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.supervisor.programs import token_problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp

NAME: Final = "console"
# Live pages end at once; a request that is being answered gets this long.
SHUTDOWN_SECONDS: Final = 2


def run(settings: Settings, *, prometheus: str = "") -> int:
    """Serve the console until SIGTERM or SIGINT, from the sources of `open_sources`.

    Returns:
        The exit code: 0, or 2 if it cannot start (and the reason is on stderr).
    """
    share_heap()
    settings = with_absolute_paths(settings, Path.cwd())
    return run_async_daemon(NAME, lambda: _serve(settings, prometheus), (SecretFileError,))


class ConsoleServer(uvicorn.Server):
    """uvicorn with bounded connections, which leaves the signals to the daemon."""

    def __init__(self, app: ASGIApp, connections: Connections | None = None) -> None:
        bounds = connections or Connections()

        def protocol(**given: Any) -> asyncio.Protocol:
            return bounds.bound(AutoHTTPProtocol(**given))

        super().__init__(
            uvicorn.Config(
                app,
                http=cast("type[asyncio.Protocol]", protocol),
                lifespan="off",
                access_log=False,
                log_level="warning",
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                # asyncio accepts as many in one turn, before the first of them counts.
                backlog=128,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield


async def _serve(settings: Settings, prometheus: str) -> None:
    tokens = _tokens(settings)
    listener = listen(settings.stack.host, settings.console.port, "console.port")
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
