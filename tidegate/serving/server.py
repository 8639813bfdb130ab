"""The server process of a replica: it listens, and shuts down gracefully."""

from __future__ import annotations

import asyncio
import atexit
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final

import uvicorn

from tidegate.serving.abandoned_requests import AbandonedRequests
from tidegate.serving.graceful_close import SETTLE_SECONDS, drop_new_connections
from tidegate.serving.http_protocol import HttpProtocol
from tidegate.serving.replica import Replica
from tidegate.telemetry import get_logger

KEEP_ALIVE_SECONDS: Final = 75
"""Idle timeout of a connection. It is longer than the gateway's, so that the gateway never sends a
request on a connection that is being closed."""

_IMPORTED_LATE: Final = (
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.websockets.auto",
    "anyio._backends._asyncio",
    "concurrent.futures.thread",
    "multiprocessing.resource_tracker",
    "encodings.idna",
)

log = get_logger("tidegate.serving.server")


def import_all() -> None:
    """Import what is otherwise imported while serving, before a folder of somebody else is on the path."""
    for module in _IMPORTED_LATE:
        with suppress(ImportError):  # such as anyio, which only some frameworks need
            importlib.import_module(module)


class Server(uvicorn.Server):
    """uvicorn with a graceful shutdown: on SIGTERM `/ready` fails, and after a grace period it stops."""

    def __init__(
        self,
        replica: Replica,
        listener: socket.socket,
        *,
        grace_seconds: float,
        websockets: bool,
        on_started: Callable[[], None] | None,
    ) -> None:
        self._lifecycle = replica.lifecycle
        self._lifecycle.on_failure(self._stop_now)
        self._listener = listener
        self._grace_seconds = grace_seconds
        self._on_started = on_started
        self._abandoned = AbandonedRequests(
            replica.slots, replica.settings.gateway.response_seconds, self._replace
        )
        self._replaced = False
        in_flight_seconds = max(1.0, replica.settings.replicas.drain_seconds - grace_seconds - 1.0)
        super().__init__(
            uvicorn.Config(
                replica.app,
                loop="uvloop",
                http=partial(HttpProtocol, self._abandoned),  # type: ignore[arg-type]
                ws="auto" if websockets else "none",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=int(in_flight_seconds),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve."""
        await super().startup(sockets)
        if self._on_started is not None:
            self._on_started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain on SIGTERM and SIGINT; unlike uvicorn, do not raise the signal again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._drain, number)
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until the end. A thread of a cancelled request may never end, so it is not waited for."""
        await super().serve(sockets)
        if self._abandoned.any_cancelled:
            # What an application registered there, as to send its last spans; threads are joined elsewhere.
            atexit._run_exitfuncs()  # noqa: SLF001 - the only way
            sys.stdout.flush()
            os._exit(int(self._replaced))

    def _replace(self, reason: str) -> None:
        """Drain and exit with an error: what runs the replica starts another one."""
        log.error("this replica drains, and another one replaces it", reason=reason)
        self._replaced = True
        self._drain(signal.SIGTERM)

    def _drain(self, number: signal.Signals) -> None:
        if self._lifecycle.phase == "draining":
            if number == signal.SIGINT:  # a second Ctrl-C stops at once
                self.force_exit = self.should_exit = True
            return
        log.info("draining", signal=number.name, grace_seconds=self._grace_seconds)
        self._lifecycle.drain()
        asyncio.get_running_loop().call_later(self._grace_seconds, self._close_listener)

    def _close_listener(self) -> None:
        drop_new_connections(self._listener)
        asyncio.get_running_loop().call_later(SETTLE_SECONDS, self._stop_now)

    def _stop_now(self) -> None:
        self.should_exit = True
