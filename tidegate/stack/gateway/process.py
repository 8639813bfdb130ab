"""The gateway as a daemon of its own, in front of all replicas of a DNS name or of a Kubernetes Service."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from tidegate.runtime.daemon import run_async_daemon
from tidegate.settings import Settings
from tidegate.stack.gateway import access_log, configuration, haproxy
from tidegate.stack.gateway.runtime_api import GatewayBusyError, RuntimeApi, RuntimeApiError
from tidegate.stack.processes.process import Child, Command, describe_exit

STDERR: Final = Path("/dev/stderr")
# While Compose replaces replicas, old and new ones exist at the same time.
ADDRESSES_PER_REPLICA: Final = 2
MIN_ADDRESSES: Final = 32
POLL_SECONDS: Final = 0.1


def run(settings: Settings, *, dns_name: str, dns_server: str, service: str = "") -> int:
    """Run until SIGTERM or SIGINT, then drain. Access lines are written to event files.

    Args:
        settings: the settings in force.
        dns_name: name:port of the replicas.
        dns_server: host:port of the DNS server that resolves it.
        service: the Kubernetes Service whose pods are the replicas; empty means that `dns_server` is asked.

    Returns:
        The exit code: 0 after a signal, 1 if HAProxy exited on its own, 2 if it cannot start.
    """
    return run_async_daemon(
        "gateway",
        lambda: _run(settings, dns_name, dns_server, service),
        (haproxy.GatewayError, OSError),
    )


async def _run(settings: Settings, dns_name: str, dns_server: str, service: str) -> int:
    number = max(MIN_ADDRESSES, ADDRESSES_PER_REPLICA * settings.replicas.max)
    text = configuration.render_config(
        settings,
        dns_name=dns_name,
        dns_servers=() if service else (dns_server,),
        max_replicas=number,
    )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tidegate-gateway-")))
        config = folder / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        await haproxy.check(config)
        admin = RuntimeApi(folder / configuration.ADMIN_SOCKET)
        if service:
            # 16 MB, which the gateway elsewhere does without.
            from tidegate.stack.gateway.replica_servers import following  # noqa: PLC0415

            ipv6 = ":" in settings.stack.host
            port = int(dns_name.rpartition(":")[2])
            await stack.enter_async_context(following(admin, service, port, number, ipv6=ipv6))
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        command = Command(tuple(haproxy.argv(config)), os.environ, folder)
        reader = Command(access_log.argv(settings), os.environ, folder)
        return await _until_exit(Child.start(command, STDERR, reader), admin, settings)


async def _until_exit(child: Child, admin: RuntimeApi, settings: Settings) -> int:
    try:
        code = await child.wait()
    except asyncio.CancelledError:
        await _drain(child, admin, settings.gateway.queue_seconds)
        # HAProxy exits when the last request is answered.
        await child.stop(signal.SIGUSR1, settings.replicas.drain_seconds)
        raise
    sys.stderr.write(f"gateway: HAProxy {describe_exit(code)}\n")
    return 1


async def _drain(child: Child, admin: RuntimeApi, seconds: float) -> None:
    """Accept no more connections, and wait until there is no request, for the time that one may wait.

    After SIGUSR1 HAProxy checks no replica any more, so a request that waits for one would fail.
    """
    with suppress(TimeoutError, RuntimeApiError):
        async with asyncio.timeout(seconds):
            with suppress(GatewayBusyError):
                await admin.accept_no_more()
            while not child.exited.done() and await _has_requests(admin):  # noqa: ASYNC110  it is another process
                await asyncio.sleep(POLL_SECONDS)


async def _has_requests(admin: RuntimeApi) -> bool:
    try:
        return await admin.requests() > 0
    except GatewayBusyError:
        return True
