"""Ports for what tests start: free, and not handed out again soon.

Each worker of pytest-xdist has a share of its own, so that no two find the same port free at the same time.
"""

from __future__ import annotations

import os
import random
import socket

import pytest

# Below the range that the kernel hands out itself.
FIRST, END = 20_000, 32_000


def _share() -> range:
    """The ports of this worker."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    size = (END - FIRST) // workers
    return range(FIRST + number * size, FIRST + (number + 1) * size)


SHARE = _share()
# Somewhere in it, as another run of the tests may go on beside this one.
_next = random.randrange(SHARE.start, SHARE.stop)


def free_ports(count: int) -> int:
    """The first of a number of consecutive free ports."""
    global _next  # noqa: PLW0603  what was handed out is not handed out again until the share was gone through
    for _ in range(len(SHARE)):
        first = _next if _next + count <= SHARE.stop else SHARE.start
        _next = first + count
        if all(map(_is_free, range(first, first + count))):
            return first
    pytest.fail(f"no {count} free ports in a row")


def free_port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
