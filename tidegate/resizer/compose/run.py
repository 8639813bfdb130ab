"""The resizer of Docker Compose as a process."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from tidegate.resizer.compose.containers import FOLDER_LABEL, labels_of
from tidegate.resizer.compose.engine import (
    Engine,
    EngineError,
    EngineGoneError,
    EngineTooOldError,
    open_engine,
)
from tidegate.resizer.compose.external_stops import OtherHands
from tidegate.resizer.compose.memory import MemorySampler
from tidegate.resizer.compose.observer import Observer, Place
from tidegate.resizer.compose.operations import Workshop
from tidegate.resizer.compose.own_project import (
    Home,
    NoProjectError,
    container_candidates,
    find_home,
)
from tidegate.resizer.compose.quota import Lender
from tidegate.resizer.compose.replica_probe import Neighbours
from tidegate.resizer.compose.resizer import CannotScaleError, ComposeResizer
from tidegate.resizer.compose.tasks import Works
from tidegate.resizer.rate_limit import LimitedResizer
from tidegate.resizer.server import METRICS_PATH, make_app, serve_tcp
from tidegate.runtime.daemon import CannotStartError, run_async_daemon
from tidegate.runtime.event_log import EventLog, StreamWriter
from tidegate.runtime.http_probe import probe_session
from tidegate.runtime.identity import event_origin
from tidegate.runtime.secret_files import SecretFileError, read_secret
from tidegate.runtime.unix_sockets import unix_address
from tidegate.settings import Settings

NODE: Final = "resizer"
CANNOT_START: Final = (
    CannotScaleError,
    EngineError,
    EngineGoneError,
    EngineTooOldError,
    NoProjectError,
)
# What a replica needs to exit after its requests are drained, see service/server.py.
FAREWELL_SECONDS: Final = 5.0


def run(settings: Settings, *, project: str = "") -> int:
    """Run until SIGTERM or SIGINT.

    Args:
        settings: all of them.
        project: the Compose project, where this does not run in a container of it.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start (and then the reason is on stderr).
    """
    return run_async_daemon(NODE, lambda: _run(settings, project), CANNOT_START)


async def _run(settings: Settings, project: str) -> None:
    if settings.replicas.min == 0:
        raise CannotStartError(
            "replicas.min: 0 is not possible in Docker Compose, where a new replica is made as a copy of one"
            " that is there; set it to 1 or more"
        )
    token = _read_token(settings.resizer.token_file)
    _try_socket(settings.resizer.docker_socket)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings.resizer.docker_socket))
        await engine.choose_version()
        home = await find_home(engine, container_candidates(), project)
        _, fetch = await stack.enter_async_context(probe_session())
        event_log = EventLog(StreamWriter(), event_origin(settings, NODE), NODE)
        resizer = _resizer(settings, engine, home, Neighbours(fetch, home.networks), event_log)
        await resizer.begin()
        _warn(resizer, home, event_log)
        limited = LimitedResizer(resizer, settings.replicas.max, time.monotonic)
        app = make_app(limited, token=token)
        sampler = MemorySampler(engine, home.project)
        add_metrics(app, sampler)
        await stack.enter_async_context(
            serve_tcp(app, settings.stack.metrics_host, settings.resizer.port)
        )
        place = resizer.observer.place
        event_log.record(
            "start",
            f"sets the replicas of service {place.service} in project {place.project}, "
            f"{settings.replicas.min} to {settings.replicas.max}; there are {resizer.desired}",
        )
        sampling = asyncio.create_task(sampler.run())
        stack.callback(sampling.cancel)
        await resizer.run()


def add_metrics(app: web.Application, sampler: MemorySampler) -> None:
    """Serve the sampler's metrics, and those of this process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(sampler)

    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(registry), headers={"Content-Type": content_type})

    app.router.add_get(METRICS_PATH, metrics)


def _resizer(
    settings: Settings, engine: Engine, home: Home, neighbours: Neighbours, event_log: EventLog
) -> ComposeResizer:
    place = Place(home.project, settings.resizer.service)
    stop_seconds = settings.replicas.drain_seconds + FAREWELL_SECONDS
    observer = Observer(
        engine=engine,
        place=place,
        neighbours=neighbours,
        hands=OtherHands(patience_seconds=2 * stop_seconds),
        settings=settings.replicas,
    )
    works = Works(Workshop(engine, place, event_log, stop_seconds))
    lender = Lender(engine, settings.slots.per_replica, settings.slots.max)
    return ComposeResizer(observer, works, lender)


def _read_token(path: Path | None) -> str:
    name = "resizer.token_file"
    if path is None:
        raise CannotStartError(
            f"{name}: not set; it names the file with the token of every request"
        )
    try:
        return read_secret(path, name)
    except SecretFileError as error:
        raise CannotStartError(str(error)) from error


def _try_socket(path: Path) -> None:
    """Connect to the engine's socket once, to name the setting in an error."""
    name = "resizer.docker_socket"
    if not path.exists():
        raise CannotStartError(
            f"{name}: there is no {path}; mount the Docker engine's socket there"
        )
    if not path.is_socket():
        raise CannotStartError(
            f"{name}: {path} is not a socket; Docker makes a folder of a mount whose source is missing"
        )
    try:
        with unix_address(path) as address, socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address)
    except PermissionError as error:
        raise CannotStartError(
            f"{name}: user {os.geteuid()} may not open {path}; run as the socket's owner, user "
            f"{path.stat().st_uid} (which needs no capability for that)"
        ) from error
    except OSError as error:
        raise CannotStartError(f"{name}: {path}: {error.strerror or error}") from error


def _warn(resizer: ComposeResizer, home: Home, event_log: EventLog) -> None:
    """Log what does not prevent the start but limits the operation."""
    for one in resizer.observer.containers:
        folder = labels_of(one.inspected).get(FOLDER_LABEL, "")
        if home.folder and folder and folder != home.folder:
            event_log.condition(
                "two projects",
                f"two folders use the project name {home.project}, {home.folder} and {folder}; give "
                "one of them another by COMPOSE_PROJECT_NAME, or their containers replace each other",
            )
        if home.networks is not None and not home.networks & one.addresses.keys() and one.runs:
            event_log.condition(
                "unreachable",
                f"{one.name} shares no network with the resizer, so which replica is idle is not known",
            )
