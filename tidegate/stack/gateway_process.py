"""The gateway as a process of its own, in front of whatever replicas a name stands for: as in Compose."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from tidegate.settings import Settings
from tidegate.stack import gateway
from tidegate.stack.access import AccessLines
from tidegate.stack.process import Child, Command, exit_words

BAD_START: Final = 2
STDERR: Final = Path("/dev/stderr")
# While Compose replaces replicas, old and new ones are there together.
ADDRESSES_PER_REPLICA: Final = 2
LEAST_ADDRESSES: Final = 32


def run(settings: Settings, *, dns_name: str, dns_server: str) -> int:
    """Run until SIGTERM or SIGINT, then answer what is under way. Its access lines become event files.

    Args:
        settings: those in force.
        dns_name: name:port of the replicas.
        dns_server: host:port of the name server that knows them.

    Returns:
        The exit code: 0 after a signal, 1 if HAProxy ended by itself, 2 if it cannot start.
    """
    try:
        return asyncio.run(_run(settings, dns_name, dns_server))
    except (gateway.GatewayError, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return BAD_START


async def _run(settings: Settings, dns_name: str, dns_server: str) -> int:
    text = gateway.render_config(
        settings,
        dns_name=dns_name,
        dns_server=dns_server,
        max_replicas=max(LEAST_ADDRESSES, ADDRESSES_PER_REPLICA * settings.replicas.max),
    )
    with tempfile.TemporaryDirectory(prefix="tidegate-gateway-") as folder:
        config = Path(folder) / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        await gateway.check(config)
        access = AccessLines.of(settings, STDERR)
        try:
            command = Command(tuple(gateway.argv(config)), os.environ, Path(folder))
            return await _until_signal(Child.start(command, STDERR, access), settings)
        finally:
            access.close()


async def _until_signal(child: Child, settings: Settings) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    telling = asyncio.create_task(told.wait())
    ending = asyncio.create_task(child.wait())
    await asyncio.wait((telling, ending), return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if told.is_set():
        # It stops taking connections, and ends when the last request is answered.
        await child.stop(signal.SIGUSR1, settings.replicas.drain_seconds)
        return 0
    sys.stderr.write(f"gateway: HAProxy {exit_words(await ending)}\n")
    return 1
