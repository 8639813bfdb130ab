"""The categories of request errors."""

from __future__ import annotations

import errno

import aiohttp
import pytest

from tidegate.loadgen.send.sender import category


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError(), "timeout"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (aiohttp.ServerDisconnectedError(), "disconnected"),
        (aiohttp.ClientOSError(errno.ECONNRESET, "reset"), "disconnected"),
        (ConnectionResetError(), "disconnected"),
        (BrokenPipeError(errno.EPIPE, "pipe"), "disconnected"),
        (aiohttp.ClientOSError(errno.EMFILE, "files"), "too many open files"),
        (aiohttp.ClientPayloadError(), "incomplete answer"),
        (aiohttp.InvalidURL("x"), "InvalidURL"),
        (OSError(errno.ENETUNREACH, "net"), "OSError"),
    ],
)
def test_each_error_has_its_category(error: Exception, said: str) -> None:
    assert category(error) == said
