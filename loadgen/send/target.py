"""The target: validation of its URL, and the preflight check."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.request import ProxyHandler, build_opener

import aiohttp
from yarl import URL

from tidegate.loadgen.errors import UsageError

READY_PATH: Final = "/ready"
PREFLIGHT_SECONDS: Final = 5.0
DEFAULT_PATH: Final = "/predict"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def target_url(base: str, path: str | None, *, allow_remote: bool) -> URL:
    """Return the URL that requests are sent to: without a path that of the base, or else `/predict`.

    Raises:
        UsageError: it is not an http URL, or not on this machine without `allow_remote`.
    """
    url = http_url(base, "--url")
    if not allow_remote and not _is_loopback(url.host or ""):
        raise UsageError(
            f"--url {base}: {url.host} is not this machine; load sent to a wrong host is an attack. Set "
            "--allow-remote if the target is yours"
        )
    if path is None:
        if url.path != "/" or url.query_string:
            return url
        path = DEFAULT_PATH
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


def header(text: str) -> tuple[str, str]:
    """Return the name and the value of a header.

    Raises:
        UsageError: it is not `Name: value`, or has characters that no header may have.
    """
    name, colon, value = (part.strip() for part in text.partition(":"))
    if not colon or not _TOKEN.fullmatch(name) or not (value.isprintable() and value.isascii()):
        raise UsageError(f"--header {name!r}: expected 'Name: value' in printable ASCII")
    return name, value


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
    """Check once that the target is ready: `/ready` of its host. Any response below 500 is accepted.

    The service does not record events and metrics for this path, so a run leaves only those of its requests.

    Raises:
        UsageError: the target does not respond, or is not ready.
    """
    url = http_url(base, "--url").with_path(READY_PATH)
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


def read_document(source: str) -> Any:
    """Read an OpenAPI document: of a file, of its URL, or of an application at `/openapi.json`.

    Raises:
        UsageError: it cannot be read, or is not JSON.
    """
    try:
        if not source.startswith(("http://", "https://")):
            return json.loads(Path(source).read_bytes())
        url = http_url(source, "routes")
        url = url if url.path != "/" else url.with_path("/openapi.json")
        # Without the proxies of the environment, as requests are sent.
        opener = build_opener(ProxyHandler({}))
        with opener.open(str(url), timeout=PREFLIGHT_SECONDS) as answer:
            return json.loads(answer.read())
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        raise UsageError(f"{source}: cannot be read as JSON: {error}") from error


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
