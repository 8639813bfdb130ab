"""The exporter as a process."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

from aiohttp import web

from tidegate.events import EventWriter
from tidegate.exporter.app import Exporter
from tidegate.exporter.backend import Backend, Tellings
from tidegate.os_errors import port_sentence
from tidegate.runtime.identity import event_origin, event_writer
from tidegate.settings import Settings

NODE: Final = "exporter"
BAD_START: Final = 2
# Prometheus waits for as long as it waits between two scrapes; the answer must still be written.
SCRAPE_SHARE: Final = 0.7


class _CannotStartError(RuntimeError):
    """Its text says what is wrong and with which setting."""


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start (and then the reason is on stderr).
    """
    try:
        asyncio.run(_run(settings))
    except _CannotStartError as error:
        sys.stderr.write(f"exporter: {error}\n")
        return BAD_START
    return 0


async def _run(settings: Settings) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        tellings = Tellings()
        backends = _backends(settings, tellings)
        for backend in backends:
            stack.push_async_callback(backend.close)
        exporter = Exporter(
            backends,
            SCRAPE_SHARE * settings.prometheus.scrape_seconds,
            _writer(stack, settings),
            event_origin(settings, NODE),
            tellings,
        )
        await _serve(stack, exporter, settings.stack.metrics_host, settings.exporter.port)
        await stop.wait()


def _backends(settings: Settings, tellings: Tellings) -> list[Backend]:
    """Those that the settings name. Each of the two is imported only where it is asked."""
    backends: list[Backend] = []
    if settings.exporter.logstash_url:
        from tidegate.exporter.logstash import Logstash  # noqa: PLC0415

        backends.append(Logstash(settings.exporter.logstash_url))
    if settings.store.kind == "elasticsearch":
        from tidegate.exporter.elasticsearch import Elasticsearch  # noqa: PLC0415

        backends.append(Elasticsearch(settings.store.elasticsearch, tellings))
    return backends


def _writer(stack: AsyncExitStack, settings: Settings) -> EventWriter:
    try:
        writer = event_writer(settings, NODE)
    except OSError as error:
        raise _CannotStartError(f"stack.data_dir: {error}") from error
    stack.callback(writer.close)
    return writer


async def _serve(stack: AsyncExitStack, exporter: Exporter, host: str, port: int) -> None:
    runner = web.AppRunner(exporter.make_app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise _CannotStartError(port_sentence(error, "exporter.port", port)) from error
