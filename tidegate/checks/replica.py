"""Starts one replica of the configured application or command, and checks what it has to offer.

docs/reference/replica-contract.md lists it, and what does not work without each item.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiohttp

from tidegate.checks.start import program_check
from tidegate.runtime.check_results import Result, failed, ok, warn
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import environment
from tidegate.stack.processes.process import Child, describe_exit, tail
from tidegate.stack.processes.process_supervisor import STARTING_POLL_SECONDS, Program
from tidegate.stack.replicas.addresses import HOST, replica_metrics_port
from tidegate.stack.supervisor.programs import Programs

REQUEST_SECONDS: Final = 10.0
# A request that takes longer is in progress when the replica is asked to stop.
IN_PROGRESS_SECONDS: Final = 0.1
# Two health checks of the gateway, which are 0.5 s apart.
STOPPING_READY_SECONDS: Final = 1.0
CONTRACT: Final = "docs/reference/replica-contract.md"
# Name of the check, metrics that it needs, what happens without them.
METRICS: Final = (
    (
        "replica slots",
        ("tidegate_slots", "tidegate_slots_busy"),
        "the autoscaler uses the gateway's numbers",
    ),
    (
        "replica slot time",
        ("tidegate_slot_seconds",),
        "the autoscaler estimates the mean time from the gateway's numbers",
    ),
    (
        "replica latency",
        ("http_server_request_duration_seconds",),
        "the gateway's times are used for the objective, without routes",
    ),
)


async def replica_checks(settings: Settings, cwd: Path) -> list[Result]:
    """The checks of a replica; none for the model service.

    It gets a free port and a data folder of its own, and is stopped at the end. The paths of the settings
    are absolute.
    """
    if not settings.replica_program or program_check(settings).state == "failed":
        return []
    with TemporaryDirectory(prefix="tidegate-doctor-") as scratch:
        own = _with_folder_and_port(settings, Path(scratch), free_port())
        layout = Layout(own.stack.data_dir)
        layout.make()
        env = environment(own, os.environ, layout.run / "settings.toml")
        program = Programs(own, layout, env, cwd).replica(1)
        try:
            child = Child.start(program.command, program.output)
        except OSError as error:
            return [failed("replica", f"cannot be started: {error}")]
        try:
            return await _checks(own, layout, program, child)
        finally:
            child.kill()
            await child.wait()


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _with_folder_and_port(settings: Settings, folder: Path, port: int) -> Settings:
    stack = settings.stack.model_copy(update={"data_dir": folder})
    replicas = settings.replicas.model_copy(update={"first_port": port})
    telemetry = settings.telemetry
    if telemetry.metrics_port is not None:
        telemetry = telemetry.model_copy(update={"metrics_port": free_port()})
    return settings.model_copy(
        update={"stack": stack, "replicas": replicas, "telemetry": telemetry}
    )


async def _checks(
    settings: Settings, layout: Layout, program: Program, child: Child
) -> list[Result]:
    timeout = aiohttp.ClientTimeout(REQUEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        start = await _start(session, program, child)
        if start.state == "failed":
            return [start]
        await _request(session, settings, program.address)
        checks = [
            start,
            await _readiness(session, settings, program.address),
            *metrics_checks(
                await _get(session, f"http://{HOST}:{replica_metrics_port(settings, 1)}/metrics")
            ),
        ]
        stop = await _stop(session, settings, program, child)
    return [*checks, events_check(layout.logs), stop]


async def _start(session: aiohttp.ClientSession, program: Program, child: Child) -> Result:
    began, problem = time.monotonic(), ""
    while time.monotonic() - began < program.start_seconds:
        if child.exited.done():
            problem = describe_exit(child.exited.result())
            break
        status, _ = await _get(session, program.ready_url)
        if status == 200:
            return ok("replica", f"ready after {time.monotonic() - began:.1f} s")
        path = program.ready_url.removeprefix(program.address)
        problem = f"GET {path} answers {status}" if status else f"nothing answers at {path}"
        await asyncio.wait([child.exited], timeout=STARTING_POLL_SECONDS)
    else:
        problem += f" after {program.start_seconds:g} s (replicas.start_seconds)"
    output = tail(program.output, 5)
    text = f"it does not become ready: {problem}: {CONTRACT} says what it has to offer\n{output}"
    return failed("replica", text.strip())


async def _readiness(session: aiohttp.ClientSession, settings: Settings, address: str) -> Result:
    path, other = settings.replicas.ready_path, f"/{secrets.token_hex(8)}"
    status, _ = await _get(session, address + other)
    if status == 200:
        text = f"every path answers 200, so {path} cannot tell that it is not ready: add a route for it"
        return warn("replica readiness", text)
    return ok("replica readiness", f"GET {path} answers 200, and an unknown path {status}")


def metrics_checks(response: tuple[int, str]) -> Iterator[Result]:
    """A check for each group of metrics in a response of /metrics, its status and its text."""
    status, text = response
    if status != 200:
        what = f"GET /metrics answers {status}" if status else "GET /metrics gets no answer"
        without = "; ".join(dict.fromkeys(without for _, _, without in METRICS))
        yield warn("replica metrics", f"{what}: {without}")
        return
    for name, metrics, without in METRICS:
        missing = [metric for metric in metrics if not _has(text, metric)]
        if missing:
            yield warn(name, f"/metrics has no {' and no '.join(missing)}: {without}")
        else:
            yield ok(name, ", ".join(metrics))


def _has(text: str, metric: str) -> bool:
    return bool(re.search(rf"^{metric}(_bucket|_count)?[ {{]", text, re.MULTILINE))


def events_check(logs: Path) -> Result:
    """Whether the replica has written the event of a request."""
    events = b"".join(path.read_bytes() for path in logs.glob("*.ndjson"))
    if b'"tidegate.request"' in events:
        return ok("replica events", "a request left its event")
    text = (
        "a request left no event: `tidegate search` and `trace` find only the gateway's access events; call"
        " instrument(app) of tidegate.telemetry, or use service.app"
    )
    return warn("replica events", text)


async def _stop(
    session: aiohttp.ClientSession, settings: Settings, program: Program, child: Child
) -> Result:
    request = asyncio.create_task(_request(session, settings, program.address))
    in_progress = not (await asyncio.wait([request], timeout=IN_PROGRESS_SECONDS))[0]
    began = time.monotonic()
    stop = asyncio.create_task(child.stop(signal.SIGTERM, program.stop_seconds))
    stays_ready = await _stays_ready(session, program.ready_url, stop)
    ended = await stop
    seconds = time.monotonic() - began
    answered = await request
    if not ended:
        text = (
            f"it does not end within {program.stop_seconds:g} s (replicas.drain_seconds) after SIGTERM, and"
            " is killed: it has to end when its requests are finished"
        )
        return failed("replica stop", text)
    text = f"it ended {seconds:.1f} s after SIGTERM"
    if not in_progress:
        hint = "verify.path to a request that takes longer"
        return ok("replica stop", f"{text}; no request was in progress (set {hint})")
    if not answered:
        return failed("replica stop", f"{text} without finishing the request in progress")
    if stays_ready:
        path = settings.replicas.ready_path
        text += (
            f", but {path} still answers 200 after SIGTERM: in Docker Compose and Kubernetes it gets requests"
            " until it ends, and loses those"
        )
        return warn("replica stop", text)
    return ok("replica stop", f"{text}, and finished the request in progress")


async def _stays_ready(
    session: aiohttp.ClientSession, ready_url: str, stop: asyncio.Task[bool]
) -> bool:
    """Whether it is ready for longer after SIGTERM than the gateway needs to see it."""
    deadline = time.monotonic() + STOPPING_READY_SECONDS
    while not stop.done():
        status, _ = await _get(session, ready_url)
        if status != 200:
            return False
        if time.monotonic() >= deadline:
            return not stop.done()
        await asyncio.wait([stop], timeout=STARTING_POLL_SECONDS)
    return False


async def _request(session: aiohttp.ClientSession, settings: Settings, address: str) -> bool:
    """Send the request of `[verify]`. Returns whether there was an answer, with any status."""
    path, body = settings.verify.path or "/", settings.verify.body
    headers = {"Content-Type": "application/json"} if body else {}
    method = "POST" if body else "GET"
    try:
        async with session.request(
            method, address + path, data=body.encode() or None, headers=headers
        ) as response:
            await response.read()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False
    return True


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    """The status and the text of a response; 0 if there is none."""
    try:
        async with session.get(url, allow_redirects=False) as response:
            return response.status, (await response.read()).decode(errors="replace")
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0, ""
