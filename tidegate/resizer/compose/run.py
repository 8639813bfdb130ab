"""The process of the resizer for Docker Compose."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from tidegate.resizer.compose.engine import (
    Engine,
    EngineError,
    EngineTooOldError,
    EngineUnavailableError,
    open_engine,
)
from tidegate.resizer.compose.external_stops import ExternalStopTracker
from tidegate.resizer.compose.metrics import FaultCounter, MemorySampler
from tidegate.resizer.compose.observer import ComposeService, Observer
from tidegate.resizer.compose.own_project import (
    NoProjectError,
    OwnProject,
    container_candidates,
    find_own_project,
)
from tidegate.resizer.compose.quota import CpuLender
from tidegate.resizer.compose.replica_probe import ReplicaProbe
from tidegate.resizer.compose.resizer import CannotScaleError, ComposeResizer
from tidegate.resizer.compose.tasks import TaskTracker
from tidegate.resizer.daemon import NODE, open_event_log, open_token, served
from tidegate.runtime.daemon import CannotStartError, run_async_daemon
from tidegate.runtime.event_log import EventLog
from tidegate.runtime.http_probe import probe_session
from tidegate.runtime.keep_running import keep_running
from tidegate.runtime.unix_sockets import unix_address
from tidegate.settings import Settings

CANNOT_START: Final = (
    CannotScaleError,
    EngineError,
    EngineUnavailableError,
    EngineTooOldError,
    NoProjectError,
)
# The time that a replica needs to exit after its requests have finished.
EXIT_SECONDS: Final = 5.0


def run(settings: Settings, *, project: str = "") -> int:
    """Run until SIGTERM or SIGINT. Outside of the project's containers, the project has to be named.

    Returns:
        The exit code: 0 after a signal, 2 if it cannot start, with the reason on stderr.
    """
    return run_async_daemon(NODE, lambda: _run(settings, project), CANNOT_START)


async def _run(settings: Settings, project: str) -> None:
    if settings.replicas.min == 0:
        raise CannotStartError(
            "replicas.min: 0 is not possible in Docker Compose, where a new replica is a copy of an existing"
            " one; set it to 1 or more"
        )
    tokens = open_token(settings.resizer.token_file)
    _check_socket(settings.resizer.docker_socket)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(open_engine(settings.resizer.docker_socket))
        await engine.choose_version()
        candidates = container_candidates(socket.gethostname())
        own_project = await find_own_project(engine, candidates, project)
        _, fetch = await stack.enter_async_context(probe_session())
        event_log = open_event_log(settings)
        resizer = _resizer(
            settings, engine, own_project, ReplicaProbe(fetch, own_project.networks), event_log
        )
        await resizer.initialize()
        sampler = MemorySampler(engine, own_project.name)
        collectors = (sampler, FaultCounter(event_log))
        await stack.enter_async_context(served(settings, resizer, tokens, *collectors))
        service = resizer.observer.service
        event_log.record(
            "start",
            f"scales service {service.name} in project {service.project} between {settings.replicas.min} and "
            f"{settings.replicas.max} replicas; {resizer.desired} now",
        )
        sampling = asyncio.create_task(keep_running("memory", sampler.run, event_log.fault))
        stack.callback(sampling.cancel)
        await keep_running("replicas", resizer.run, event_log.fault)


def _resizer(
    settings: Settings,
    engine: Engine,
    own_project: OwnProject,
    probe: ReplicaProbe,
    event_log: EventLog,
) -> ComposeResizer:
    service = ComposeService(own_project.name, settings.resizer.service)
    stop_seconds = settings.replicas.drain_seconds + EXIT_SECONDS
    observer = Observer(
        engine=engine,
        service=service,
        probe=probe,
        external_stops=ExternalStopTracker(stop_timeout_seconds=2 * stop_seconds),
        settings=settings.replicas,
    )
    tasks = TaskTracker(engine, service, event_log, stop_seconds)
    lender = CpuLender(engine, settings.slots.per_replica, settings.slots.max)
    return ComposeResizer(observer, tasks, lender)


def _check_socket(path: Path) -> None:
    """Connect to the engine's socket once, to name the setting in an error."""
    name = "resizer.docker_socket"
    if not path.exists():
        raise CannotStartError(
            f"{name}: {path} does not exist; mount the socket of the Docker engine there"
        )
    if not path.is_socket():
        raise CannotStartError(
            f"{name}: {path} is not a socket; Docker creates a folder for a mount whose source is missing"
        )
    try:
        with unix_address(path) as address, socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address)
    except PermissionError as error:
        raise CannotStartError(
            f"{name}: user {os.geteuid()} may not open {path}; run as the socket's owner, user "
            f"{path.stat().st_uid}, which needs no capability"
        ) from error
    except OSError as error:
        raise CannotStartError(f"{name}: {path}: {error.strerror or error}") from error
