"""The exporter as a process."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import aiohttp

from tidegate.exporter import elasticsearch, logstash
from tidegate.exporter.app import Exporter
from tidegate.exporter.backend import Backend
from tidegate.runtime.daemon import daemon_event_writer, run_async_daemon
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.runtime.http_server import http_server
from tidegate.runtime.identity import event_origin
from tidegate.settings import Settings
from tidegate.store.kinds import store_server

NODE: Final = "exporter"
# The fraction of Prometheus' scrape timeout that the backends may take; the rest is for the response.
SCRAPE_SHARE: Final = 0.7


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if the exporter cannot start, with the reason on stderr.
    """
    return run_async_daemon(NODE, lambda: _run(settings))


async def _run(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        writer = stack.enter_context(daemon_event_writer(settings, NODE))
        origin = event_origin(settings, NODE)
        event_log = EventLog(writer, origin, listeners=[Terminal()])
        session = await stack.enter_async_context(aiohttp.ClientSession())
        backends = _backends(settings, session, event_log)
        exporter = Exporter(
            backends,
            SCRAPE_SHARE * settings.prometheus.scrape_seconds,
            writer,
            origin,
            event_log,
        )
        await stack.enter_async_context(
            http_server(
                exporter.make_app(),
                settings.stack.metrics_host,
                settings.exporter.port,
                "exporter.port",
            )
        )
        await asyncio.Event().wait()  # until a signal cancels it


def _backends(
    settings: Settings, session: aiohttp.ClientSession, event_log: EventLog
) -> list[Backend]:
    """The backends that the settings name."""
    backends: list[Backend] = []
    if url := settings.exporter.logstash_url:
        read = partial(logstash.read_logstash, url, session)
        backends.append(Backend("logstash", logstash.up, read))
    if server := store_server(settings):
        read = partial(elasticsearch.read_elasticsearch, server, session, event_log)
        backends.append(Backend("elasticsearch", elasticsearch.up, read))
    return backends
