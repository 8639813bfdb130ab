"""The DNS servers that HAProxy asks: given ones, or those of a resolv.conf."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tidegate.os_errors import os_error_message
from tidegate.stack.gateway.haproxy import GatewayError

PORT: Final = 53


def name_servers(text: str) -> list[str]:
    """host:port of each DNS server, with an IPv6 address in brackets.

    Args:
        text: host:port of one, or the path of a file in the format of resolv.conf(5).

    Raises:
        GatewayError: the file cannot be read, or names no server.
    """
    if "/" not in text:
        return [text]
    try:
        lines = Path(text).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise GatewayError(f"--dns-server: {os_error_message(error)}") from error
    words = [line.split() for line in lines]
    hosts = [one[1] for one in words if len(one) > 1 and one[0] == "nameserver"]
    if not hosts:
        raise GatewayError(
            f"--dns-server: {text} has no line `nameserver ADDRESS`; name a server as HOST:PORT"
        )
    return [f"[{host}]:{PORT}" if ":" in host else f"{host}:{PORT}" for host in hosts]
