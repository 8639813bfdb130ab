"""The process around the application: it listens, and leaves without losing a request."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from service.app import create_app
from service.door import SETTLE_SECONDS, ignore_newcomers
from service.replica import Replica
from tidegate.settings import Settings
from tidegate.telemetry import get_logger

GRACE_SECONDS: Final = 1.2
"""From the SIGTERM until no more connections are taken. The gateway looks at `/ready` every 0.5 s, so it has
seen the replica leave, twice, before the door closes."""
KEEP_ALIVE_SECONDS: Final = 75
"""An idle connection is closed after this; longer than the gateway keeps one, so that it never sends a
request into a connection that is being closed."""
BACKLOG: Final = 2048

log = get_logger("service.server")


class PortTakenError(Exception):
    """The port cannot be listened on."""


class ModelRefusedError(Exception):
    """The model cannot be served; the text says why, and names the file."""


class Server(uvicorn.Server):
    """uvicorn, which on SIGTERM first says so on `/ready`, waits, and then closes.

    Args:
        settings: the settings.
        listener: the socket that it takes connections from.
        grace_seconds: how long it goes on taking connections after the signal.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        *,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        app = create_app(settings, on_failure=self._stop_now)
        self.replica: Final[Replica] = app.state.replica
        self._listener = listener
        self._grace_seconds = grace_seconds
        in_flight_seconds = max(1.0, settings.replicas.drain_seconds - grace_seconds - 1.0)
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(in_flight_seconds),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT; unlike uvicorn, do not die by the signal afterwards."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, number)
        yield

    def _drain(self, number: signal.Signals) -> None:
        if self.replica.phase == "draining":
            if number == signal.SIGINT:  # Ctrl-C again: the person does not want to wait
                self.force_exit = self.should_exit = True
            return
        log.info("draining", signal=number.name, grace_seconds=self._grace_seconds)
        self.replica.drain()
        asyncio.get_running_loop().call_later(self._grace_seconds, self._close_door)

    def _close_door(self) -> None:
        ignore_newcomers(self._listener)
        asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._stop_now)

    def _stop_now(self) -> None:
        self.should_exit = True


def run(settings: Settings, *, host: str, port: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """Serve until a signal comes and every request is answered.

    Raises:
        PortTakenError: the address cannot be listened on.
        ModelRefusedError: the model cannot be served.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortTakenError(f"{host} port {port}: {error.strerror or error}") from error
    with listener:
        server = Server(settings, listener, grace_seconds=grace_seconds)
        server.run(sockets=[listener])
    if server.replica.phase == "failed":
        raise ModelRefusedError(server.replica.reason)
