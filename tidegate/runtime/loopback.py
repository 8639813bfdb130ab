"""Which hosts are this machine only."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

LOOPBACK_NAME: Final = "localhost"


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address, is this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == LOOPBACK_NAME
