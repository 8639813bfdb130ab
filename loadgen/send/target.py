"""The target: validation of its URL, and the preflight check."""

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
    """Return the URL that requests are sent to.

    Raises:
        UsageError: it is not an http URL, or not on this machine without `allow_remote`.
    """
    url = http_url(base, "--url")
    if not allow_remote and not _is_loopback(url.host or ""):
        raise UsageError(
            f"--url {base}: {url.host} is not this machine; load sent to a wrong host is an attack. Set "
            "--allow-remote if the target is yours"
        )
    if not path.startswith("/"):
        raise UsageError(f"--path {path}: must start with /")
    path, _, query = path.partition("?")
    return url.joinpath(path.lstrip("/")).with_query(query or None)


def request_method(text: str) -> str:
    """Return the HTTP method in capitals.

    Raises:
        UsageError: it is no word of letters.
    """
    if not (text.isascii() and text.isalpha()):
        raise UsageError(f"--method {text}: expected an HTTP method such as POST or GET")
    return text.upper()


def http_url(text: str, option: str) -> URL:
    """Parse an http or https URL.

    Raises:
        UsageError: it is invalid.
    """
    try:
        url = URL(text)
        usable = url.scheme in {"http", "https"} and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise UsageError(f"{option} {text}: expected a URL such as http://127.0.0.1:8000")
    return url


async def preflight(base: str) -> None:
    """Check once that the target is ready. Any response below 500 is accepted.

    The service does not record events and metrics for this path, so a run leaves only those of its requests.

    Raises:
        UsageError: the target does not respond, or is not ready.
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
            f"{base} does not respond within {PREFLIGHT_SECONDS:g} s; nothing was sent"
        ) from error
    except (aiohttp.ClientError, OSError) as error:
        raise UsageError(f"{base} {_unreachable(error)}; nothing was sent") from error
    if status >= 500:
        raise UsageError(
            f"{base} is not ready ({READY_PATH} responds with {status}); nothing was sent"
        )


def _unreachable(error: Exception) -> str:
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "cannot be reached: the host name cannot be resolved"
    if isinstance(cause, ConnectionRefusedError):
        return "does not respond: nothing listens on this port (is the service running?)"
    if isinstance(cause, OSError) and cause.errno:
        return f"cannot be reached: {os.strerror(cause.errno)}"
    return f"does not respond ({error or type(error).__name__})"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
