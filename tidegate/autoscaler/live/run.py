"""Runs the autoscaler as a process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Final

import aiohttp

from tidegate.autoscaler.decided_number import DecidedNumber
from tidegate.autoscaler.live.configured_policy import bounds, configured_policy
from tidegate.autoscaler.live.gateway_reader import GatewayReader
from tidegate.autoscaler.live.history import HistoryReader
from tidegate.autoscaler.live.loop import Autoscaler, run_ticks
from tidegate.autoscaler.live.metrics import Metrics
from tidegate.autoscaler.live.override import OverrideFile
from tidegate.autoscaler.live.signals import PrometheusReader
from tidegate.autoscaler.policy_builder import BuiltPolicy
from tidegate.resizer.client import ResizerClient, no_tokens
from tidegate.resizer.contract import Resizer
from tidegate.runtime.daemon import CannotStartError, daemon_event_writer, run_async_daemon
from tidegate.runtime.event_log import EventLog, Terminal
from tidegate.runtime.http_server import http_server
from tidegate.runtime.identity import event_origin
from tidegate.runtime.secret_files import ReplaceableSecret
from tidegate.settings import Settings

NODE: Final = "autoscaler"
# The fraction of a tick that a read of the signals, and a request to the resizer after it, may take.
CALL_SHARE: Final = 0.4
# After this number of ticks without a decision there is no number to act on.
MISSED_TICKS: Final = 4


def run(settings: Settings, *, resizer: str, prometheus: str = "", dry_run: bool = False) -> int:
    """Run until SIGTERM or SIGINT.

    The resizer is `unix:PATH` or `http://HOST:PORT`, with KEDA empty; without a URL of Prometheus it is the
    stack's own.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start; the reason is on stderr.
    """
    url = prometheus or f"http://127.0.0.1:{settings.prometheus.port}"
    return run_async_daemon(NODE, lambda: _run(settings, resizer, url, dry_run=dry_run))


async def _run(settings: Settings, resizer: str, url: str, *, dry_run: bool) -> None:
    built = configured_policy(settings)
    timeout = CALL_SHARE * built.tick_seconds
    by_keda = settings.autoscaler.scaler == "keda"
    if by_keda:
        _check_for_keda(resizer, built)
    async with AsyncExitStack() as stack:
        decided = DecidedNumber(bounds(settings), MISSED_TICKS * built.tick_seconds)
        # KEDA may read the number from the metrics, too.
        metrics = Metrics(decided, show_dry_run=not by_keda)
        scaler: Resizer
        if not by_keda:
            scaler = _client(settings, resizer, timeout)
        await stack.enter_async_context(
            http_server(
                metrics.make_app(),
                settings.stack.metrics_host,
                settings.autoscaler.metrics_port,
                "autoscaler.metrics_port",
            )
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        writer = stack.enter_context(daemon_event_writer(settings, NODE))
        event_log = EventLog(writer, event_origin(settings, NODE), listeners=[Terminal()])
        if by_keda:
            # 35 MB, which the autoscaler elsewhere does without.
            from tidegate.autoscaler.keda.run import keda_scaler  # noqa: PLC0415

            scaler = await stack.enter_async_context(
                keda_scaler(settings, decided, event_log, timeout)
            )
        read = _reader(settings, session, url, timeout).read
        if built.uses_history:
            clock = asyncio.get_running_loop().time
            read = HistoryReader(url, session, read, clock, timeout).read
        autoscaler = Autoscaler(
            policy_name=built.expression,
            policy=built.policy,
            read=read,
            resizer=scaler,
            event_log=event_log,
            metrics=metrics,
            read_override=OverrideFile(settings.control_file).read,
            bounds=bounds(settings),
            dry_run=settings.autoscaler.dry_run or dry_run,
            read_gateway=GatewayReader(_gateway_metrics_url(settings), session).read,
            decided=decided,
            slots=settings.slots.per_replica,
            uses_gateway=built.uses_gateway,
        )
        await run_ticks(autoscaler, built.tick_seconds)


def _check_for_keda(resizer: str, built: BuiltPolicy) -> None:
    if resizer:
        raise CannotStartError(
            "--resizer: has no effect with autoscaler.scaler = keda; remove it, or set autoscaler.scaler to"
            " resizer"
        )
    if built.sets_slots:
        raise CannotStartError(
            f"autoscaler.policy: {built.expression!r} sets the slots of replicas, which KEDA cannot; use a"
            " policy that sets the number of replicas"
        )


def _gateway_metrics_url(settings: Settings) -> str:
    own = f"http://127.0.0.1:{settings.gateway.metrics_port}/metrics"
    return settings.autoscaler.gateway_metrics_url or own


def _client(settings: Settings, address: str, timeout: float) -> ResizerClient:
    if not address:
        raise CannotStartError(
            "--resizer: missing; give its address, unix:PATH or http://HOST:PORT, or set autoscaler.scaler to"
            " keda"
        )
    token_file = settings.autoscaler.resizer_token_file
    try:
        tokens: Callable[[], Sequence[str]] = no_tokens
        if token_file:
            name = "autoscaler.resizer_token_file"
            tokens = ReplaceableSecret(token_file, name, time.monotonic)
        return ResizerClient(address, tokens=tokens, timeout_seconds=timeout)
    except ValueError as error:
        raise CannotStartError(str(error)) from error


def _reader(
    settings: Settings, session: aiohttp.ClientSession, url: str, timeout: float
) -> PrometheusReader:
    try:
        return PrometheusReader(url, session, settings.autoscaler.stale_seconds, timeout)
    except ValueError as error:
        raise CannotStartError(str(error)) from error
