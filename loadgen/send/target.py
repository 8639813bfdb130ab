"""The target: whether it may be sent load at all, and whether it answers."""

from __future__ import annotations

import ipaddress
import os
from typing import Final

import aiohttp
from yarl import URL

from tidegate.loadgen.errors import UsageError

READY_PATH: Final = "/ready"
PREFLIGHT_SECONDS: Final = 5.0


def target_url(base: str, path: str, *, allow_remote: bool) -> URL:
    """Where requests go.

    Raises:
        UsageError: it is not an http address, or not on this machine while that is asked for.
    """
    url = http_url(base, "--url")
    if not allow_remote and not _is_loopback(url.host or ""):
        raise UsageError(
            f"--url {base}: {url.host} is not this machine, and load sent to a stranger by a typo is an "
            "attack; say --allow-remote if it is yours"
        )
    if not path.startswith("/"):
        raise UsageError(f"--path {path}: needs to start with /")
    return url.joinpath(path.lstrip("/"))


def http_url(text: str, option: str) -> URL:
    """An http or https address.

    Raises:
        UsageError: it is none.
    """
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{option} {text}: needs an address like http://127.0.0.1:8000")
    return url


async def preflight(base: str) -> None:
    """Ask the target for its readiness, once. Any answer will do but one that says it is not ready.

    The path is one that a service keeps out of its events and metrics, so that a run's requests are
    all that a run leaves there.

    Raises:
        UsageError: it does not answer, or says that it is not ready.
    """
    url = http_url(base, "--url").joinpath(READY_PATH.lstrip("/"))
    timeout = aiohttp.ClientTimeout(total=PREFLIGHT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            status = answer.status
    except TimeoutError as error:
        raise UsageError(
            f"{base} does not answer within {PREFLIGHT_SECONDS:g} s; nothing was sent"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise UsageError(f"{base} {_unreachable(error)}; nothing was sent") from error
    if status >= 500:
        raise UsageError(
            f"{base} is not ready ({READY_PATH} answers with {status}); nothing was sent"
        )


def _unreachable(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "cannot be reached: its name is not known"
    if isinstance(cause, ConnectionRefusedError):
        return "does not answer: nothing listens on this port (is the service started?)"
    if isinstance(cause, OSError) and cause.errno:
        return f"cannot be reached: {os.strerror(cause.errno)}"
    return f"does not answer ({error or type(error).__name__})"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
