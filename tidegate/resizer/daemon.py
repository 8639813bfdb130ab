"""What the resizers' processes share: their log, and the API that they serve."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.registry import Collector

from tidegate.resizer.contract import Resizer
from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.resizer.server import SHUTDOWN_SECONDS, Tokens, make_app
from tidegate.runtime.daemon import CannotStartError
from tidegate.runtime.event_log import EventLog, StreamWriter
from tidegate.runtime.http_server import add_metrics_route, http_server
from tidegate.runtime.identity import event_origin
from tidegate.runtime.secret_files import ReplaceableSecret, SecretFileError
from tidegate.settings import Settings

NODE: Final = "resizer"


def open_event_log(settings: Settings) -> EventLog:
    """The log of the process, on stdout."""
    return EventLog(StreamWriter(), event_origin(settings, NODE), NODE)


@asynccontextmanager
async def served(
    settings: Settings, resizer: Resizer, tokens: Tokens, *collectors: Collector
) -> AsyncIterator[None]:
    """Serve a resizer, which removes no replicas too often, and metrics inside the block.

    Raises:
        CannotStartError: the port is taken.
    """
    limited = RateLimitedResizer(resizer, settings.replicas.max, time.monotonic)
    app = make_app(limited, tokens=tokens)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    for collector in collectors:
        registry.register(collector)
    add_metrics_route(app, registry)
    host, port = settings.stack.metrics_host, settings.resizer.port
    async with http_server(app, host, port, "resizer.port", SHUTDOWN_SECONDS):
        yield


def open_token(path: Path | None) -> ReplaceableSecret:
    """The tokens that clients may send, from `resizer.token_file`.

    Raises:
        CannotStartError: it is not set, or the file cannot be read or is empty.
    """
    name = "resizer.token_file"
    if path is None:
        raise CannotStartError(
            f"{name}: not set; it must name the file with the token that clients send"
        )
    try:
        return ReplaceableSecret(path, name, time.monotonic)
    except SecretFileError as error:
        raise CannotStartError(str(error)) from error
