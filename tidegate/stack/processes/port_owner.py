"""Whether a program that answers at a port is the one that was started for it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import psutil

_HERE: Final = frozenset({"127.0.0.1", "0.0.0.0", "::1", "::"})  # noqa: S104  nothing binds to them here


def earlier_listener(url: str, pid: int) -> str | None:
    """The process that listens at the URL's port of this machine and is older than process `pid`; or empty.

    A younger one may be its child, or what it has started elsewhere (`docker run`). One whose owner cannot be
    seen does not count. None means that one of them has just ended: ask again.
    """
    port = urlsplit(url).port
    try:
        began = psutil.Process(pid).create_time()
        owners = [
            psutil.Process(one.pid)
            for one in psutil.net_connections("tcp")
            if one.status == psutil.CONN_LISTEN
            and one.laddr
            and one.laddr.port == port
            and one.laddr.ip in _HERE
            and one.pid
        ]
        if owners and all(one.create_time() < began for one in owners):
            return f"process {owners[0].pid} ({' '.join(owners[0].cmdline())[:80]})"
    except psutil.NoSuchProcess:
        return None
    except (psutil.Error, OSError):
        pass
    return ""
