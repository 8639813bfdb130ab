"""The gateway as a separate daemon, in front of all replicas that a DNS name resolves to, as in Compose."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from tidegate.runtime.daemon import run_async_daemon
from tidegate.settings import Settings
from tidegate.stack.gateway import access_log, configuration, haproxy
from tidegate.stack.gateway.name_servers import name_servers
from tidegate.stack.processes.process import Child, Command, describe_exit

STDERR: Final = Path("/dev/stderr")
# While Compose replaces replicas, old and new ones exist at the same time.
ADDRESSES_PER_REPLICA: Final = 2
MIN_ADDRESSES: Final = 32


def run(settings: Settings, *, dns_name: str, dns_server: str) -> int:
    """Run until SIGTERM or SIGINT, then drain. Access lines are written to event files.

    Args:
        settings: the settings in force.
        dns_name: name:port of the replicas.
        dns_server: host:port of the DNS server that resolves it, or the path of a resolv.conf.

    Returns:
        The exit code: 0 after a signal, 1 if HAProxy exited on its own, 2 if it cannot start.
    """
    return run_async_daemon(
        "gateway",
        lambda: _run(settings, dns_name, dns_server),
        (haproxy.GatewayError, OSError),
    )


async def _run(settings: Settings, dns_name: str, dns_server: str) -> int:
    text = configuration.render_config(
        settings,
        dns_name=dns_name,
        dns_servers=name_servers(dns_server),
        max_replicas=max(MIN_ADDRESSES, ADDRESSES_PER_REPLICA * settings.replicas.max),
    )
    with tempfile.TemporaryDirectory(prefix="tidegate-gateway-") as folder:
        config = Path(folder) / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        await haproxy.check(config)
        settings.log_dir.mkdir(parents=True, exist_ok=True)
        command = Command(tuple(haproxy.argv(config)), os.environ, Path(folder))
        reader = Command(access_log.argv(settings), os.environ, Path(folder))
        return await _until_exit(Child.start(command, STDERR, reader), settings)


async def _until_exit(child: Child, settings: Settings) -> int:
    try:
        code = await child.wait()
    except asyncio.CancelledError:
        # HAProxy accepts no more connections, and exits when the last request is answered.
        await child.stop(signal.SIGUSR1, settings.replicas.drain_seconds)
        raise
    sys.stderr.write(f"gateway: HAProxy {describe_exit(code)}\n")
    return 1
