"""The process of the resizer for Ray Serve."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import aiohttp

from tidegate.resizer.contract import ResizerUnavailableError
from tidegate.resizer.daemon import NODE, open_event_log, open_token, served
from tidegate.resizer.ray.resizer import RayResizer
from tidegate.resizer.ray.serve_api import ServeApi
from tidegate.runtime.daemon import CannotStartError, run_async_daemon
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.settings import Settings

CHECK_SECONDS: Final = 5.0
CONDITION: Final = "ray"


def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start, with the reason on stderr.
    """
    return run_async_daemon(NODE, lambda: _run(settings))


async def _run(settings: Settings) -> None:
    if settings.replicas.min == 0:
        raise CannotStartError(
            "replicas.min: 0 is not possible on Ray Serve, whose queue is not read while there is no replica;"
            " set it to 1 or more"
        )
    tokens = open_token(settings.resizer.token_file)
    cluster_token = _cluster_token(settings.ray.token_file)
    event_log = open_event_log(settings)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        ray = settings.ray
        api = ServeApi(session, ray.address, ray.application, ray.deployment, cluster_token)
        resizer = RayResizer(api, settings.replicas)
        await stack.enter_async_context(served(settings, resizer, tokens))
        event_log.record(
            "start",
            f"scales deployment {ray.deployment} of application {ray.application} on Ray at {ray.address} "
            f"between {settings.replicas.min} and {settings.replicas.max} replicas",
        )
        await _watch(resizer, event_log)


async def _watch(resizer: RayResizer, event_log: EventLog) -> None:
    """Log once why Ray cannot be used, and once that it can be used again; forever."""
    while True:
        try:
            await resizer.status()
        except ResizerUnavailableError as error:
            event_log.condition(CONDITION, str(error))
        else:
            event_log.resolved(CONDITION, "Ray can be used again")
        await asyncio.sleep(CHECK_SECONDS)


def _cluster_token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return read_secret(path, "ray.token_file")
    except SecretFileError as error:
        raise CannotStartError(str(error)) from error
