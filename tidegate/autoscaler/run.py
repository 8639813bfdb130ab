"""The autoscaler as a process."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from contextlib import AsyncExitStack
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import aiohttp
from aiohttp import web

from tidegate.autoscaler.journal import Journal
from tidegate.autoscaler.loop import Autoscaler, run_ticks
from tidegate.autoscaler.metrics import Metrics
from tidegate.autoscaler.policies import policy_from_settings
from tidegate.autoscaler.signals import PrometheusReader
from tidegate.events import EventWriter, Origin
from tidegate.resizer.client import ResizerClient
from tidegate.settings import Settings

NODE: Final = "autoscaler"
BAD_START: Final = 2
# Reading and telling follow each other within a tick, each with at most this share of it.
CALL_SHARE: Final = 0.4


def run(settings: Settings, *, resizer: str, prometheus: str = "") -> int:
    """Run until SIGTERM or SIGINT.

    Args:
        settings: all of them.
        resizer: where the resizer is: `unix:PATH` or `http://HOST:PORT`.
        prometheus: where Prometheus is; empty means the stack's own.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start (and then the reason is on stderr).
    """
    url = prometheus or f"http://127.0.0.1:{settings.prometheus.port}"
    try:
        asyncio.run(_run(settings, resizer, url))
    except _CannotStartError as error:
        sys.stderr.write(f"autoscaler: {error}\n")
        return BAD_START
    return 0


class _CannotStartError(RuntimeError):
    """Its text says what is wrong and with which setting."""


async def _run(settings: Settings, resizer: str, url: str) -> None:
    timeout = CALL_SHARE * settings.autoscaler.tick_seconds
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        client = _client(settings, resizer, timeout)
        await _serve(stack, metrics, settings.autoscaler.metrics_port)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        journal = Journal(_writer(stack, settings), _origin(settings))
        reader = _reader(settings, session, url, timeout)
        autoscaler = Autoscaler(
            policy_name=settings.autoscaler.policy,
            policy=policy_from_settings(settings),
            read=reader.read,
            resizer=client,
            journal=journal,
            metrics=metrics,
        )
        await _until_signal(autoscaler, settings.autoscaler.tick_seconds)


async def _serve(stack: AsyncExitStack, metrics: Metrics, port: int) -> None:
    runner = web.AppRunner(metrics.make_app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        said = f"port {port} is taken" if taken else str(error)
        raise _CannotStartError(f"autoscaler.metrics_port: {said}") from error


def _client(settings: Settings, address: str, timeout: float) -> ResizerClient:
    token_file = settings.autoscaler.resizer_token_file
    try:
        token = token_file.read_text(encoding="utf-8").strip() if token_file else ""
        return ResizerClient(address, token=token, timeout_seconds=timeout)
    except OSError as error:
        raise _CannotStartError(f"autoscaler.resizer_token_file: {error}") from error
    except ValueError as error:
        raise _CannotStartError(str(error)) from error


def _reader(
    settings: Settings, session: aiohttp.ClientSession, url: str, timeout: float
) -> PrometheusReader:
    try:
        return PrometheusReader(url, session, settings.autoscaler.stale_seconds, timeout)
    except ValueError as error:
        raise _CannotStartError(str(error)) from error


def _writer(stack: AsyncExitStack, settings: Settings) -> EventWriter:
    file_bytes, file_seconds = settings.telemetry.file_bytes, settings.telemetry.file_seconds
    try:
        writer = EventWriter(settings.log_dir, NODE, file_bytes, file_seconds)
    except OSError as error:
        raise _CannotStartError(f"stack.data_dir: {error}") from error
    stack.callback(writer.close)
    return writer


async def _until_signal(autoscaler: Autoscaler, tick_seconds: float) -> None:
    """Tick until told to stop; an error in a tick is raised, for it is a fault of ours."""
    loop = asyncio.get_running_loop()
    ticking = asyncio.create_task(run_ticks(autoscaler, tick_seconds))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ticking.cancel)
    try:
        await ticking
    except asyncio.CancelledError:
        if not ticking.cancelled():
            raise


def _origin(settings: Settings) -> Origin:
    try:
        ours = version("tidegate")
    except PackageNotFoundError:
        ours = "unknown"
    service = settings.service
    return Origin(service.name, ours, service.environment, NODE, service.namespace)
