"""A serving engine as a process: how it starts, what it listens on, and which processes are its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from bench.engines.cpu import tree

START_SECONDS: Final = 240
STOP_SECONDS: Final = 60
# All capabilities stay, so that Ray's processes can be started; only `lo` is up in it.
NAMESPACE: Final = ("unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child")


class EngineError(Exception):
    """An engine did not start; the text has the end of its log."""


@dataclass(frozen=True)
class Task:
    """What an engine is started with.

    Attributes:
        port: what its front listens on; it may use the 19 ports after it.
        folder: for its files.
        slots: requests that a replica works on at once.
        replicas: the most; it scales by itself if there are more than one.
        device_seconds: how long a request is held.
    """

    port: int
    folder: Path
    slots: int
    replicas: int = 1
    device_seconds: float = 0.0


@dataclass(frozen=True)
class Engine:
    """One row of the comparison.

    Attributes:
        name: in tables.
        settings: what it runs with, in words.
        better: where it is better than Tidegate.
        command: its command line.
        variables: its environment, beside the present one.
        path: of a prediction.
        tensors: whether it takes the Open Inference Protocol's encoded rows, else instances.
        namespace: whether it runs in a network namespace, as it listens on more than loopback.
        scales: whether it adds replicas by itself.
    """

    name: str
    settings: str
    better: str
    command: Callable[[Task], list[str]]
    variables: Callable[[Task], Mapping[str, str]] = field(default=lambda _: {})
    path: str = "/predict"
    tensors: bool = False
    namespace: bool = False
    scales: bool = False


@dataclass
class Running:
    """A started engine."""

    engine: Engine
    task: Task
    process: subprocess.Popen[bytes]
    start_seconds: float = 0.0

    @property
    def url(self) -> str:
        """Where its front is."""
        return f"http://127.0.0.1:{self.task.port}"

    def pids(self) -> list[int]:
        """All its processes."""
        return tree(self.process.pid)

    def request_path(self) -> list[int]:
        """Those that a request passes through: of Tidegate the gateway and the replica, of others all."""
        words = ("haproxy", "tidegate.serving", "tidegate.service")
        found = [
            pid for pid in self.pids() if any(word in " ".join(_command(pid)) for word in words)
        ]
        return found if self.engine.name.startswith("Tidegate") else self.pids()

    def inside(self, command: list[str]) -> list[str]:
        """A command that reaches it: in its network namespace if it has one."""
        if not self.engine.namespace:
            return command
        (first, *_) = psutil.Process(self.process.pid).children()
        return ["nsenter", f"--net=/proc/{first.pid}/ns/net", *command]


def _command(pid: int) -> list[str]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).cmdline()
    return []


@contextlib.contextmanager
def running(engine: Engine, task: Task, ready: Callable[[Running], bool]) -> Iterator[Running]:
    """Start an engine, wait until it answers a prediction, and stop it in the end.

    Raises:
        EngineError: it ends, or does not answer within `START_SECONDS`.
    """
    task.folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if "TIDEGATE" not in name}
    environment |= {"DEVICE_SECONDS": str(task.device_seconds), **engine.variables(task)}
    command = engine.command(task)
    if engine.namespace:
        inside = 'ip link set lo up && exec "$@"'
        command = [*NAMESPACE, "bash", "-c", inside, "bash", *command]
    log = task.folder / "log"
    with log.open("wb") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=task.folder,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    started = Running(engine, task, process)
    try:
        while not ready(started):
            if process.poll() is not None or time.monotonic() - began > START_SECONDS:
                raise EngineError(f"no answer within {START_SECONDS} s: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        started.start_seconds = time.monotonic() - began
        yield started
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    known = [psutil.Process(pid) for pid in tree(process.pid)] if process.poll() is None else []
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    for each in known:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def free_ports(first: int, count: int = 20) -> int:
    """The first of a number of consecutive ports of loopback that nobody listens on."""
    for port in range(first, 32_000, count):
        with contextlib.ExitStack() as stack:
            try:
                for each in range(port, port + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", each))
            except OSError:
                continue
            return port
    raise SystemExit(f"no {count} free ports in a row from {first} on")
