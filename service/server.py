"""The server process: it listens, and shuts down gracefully."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

from tidegate.service.http.app import create_app
from tidegate.service.serving.replica import Replica
from tidegate.serving import SETTLE_SECONDS, drop_new_connections
from tidegate.settings import Settings
from tidegate.telemetry import get_logger

GRACE_SECONDS: Final = 1.2
"""From SIGTERM until the listener closes. The gateway checks `/ready` every 0.5 s, so at least two
checks fail before."""
KEEP_ALIVE_SECONDS: Final = 75
"""Idle timeout of a connection. It is longer than the gateway's, so that the gateway never sends a
request on a connection that is being closed."""
BACKLOG: Final = 2048

log = get_logger("tidegate.service.server")


class PortInUseError(Exception):
    """The port is in use or cannot be opened."""


class ModelError(Exception):
    """The model cannot be served; the text gives the reason and the file."""


class Server(uvicorn.Server):
    """uvicorn with a graceful shutdown: on SIGTERM `/ready` fails, and after a grace period it stops.

    Args:
        settings: the settings.
        listener: the listening socket.
        grace_seconds: how long it accepts connections after the signal.
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
        """Drain on SIGTERM and SIGINT; unlike uvicorn, do not raise the signal again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, number)
        yield

    def _drain(self, number: signal.Signals) -> None:
        if self.replica.phase == "draining":
            if number == signal.SIGINT:  # a second Ctrl-C stops at once
                self.force_exit = self.should_exit = True
            return
        log.info("draining", signal=number.name, grace_seconds=self._grace_seconds)
        self.replica.lifecycle.drain()
        asyncio.get_running_loop().call_later(self._grace_seconds, self._close_listener)

    def _close_listener(self) -> None:
        drop_new_connections(self._listener)
        asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._stop_now)

    def _stop_now(self) -> None:
        self.should_exit = True


def run(settings: Settings, *, host: str, port: int, grace_seconds: float = GRACE_SECONDS) -> None:
    """Serve until a signal arrives and every request has its response.

    Raises:
        PortInUseError: the address is in use or cannot be opened.
        ModelError: the model cannot be served.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise PortInUseError(f"{host} port {port}: {error.strerror or error}") from error
    with listener:
        server = Server(settings, listener, grace_seconds=grace_seconds)
        server.run(sockets=[listener])
    if server.replica.phase == "failed":
        raise ModelError(server.replica.reason)
