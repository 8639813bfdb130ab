"""The paths in a data folder, and its lock, which allows one running stack."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tidegate.runtime.locks import POLL_SECONDS, LockedError, exclusive_lock, try_lock
from tidegate.runtime.private_files import FOLDER_MODE, make_private_folder

# `holder`, in another process, has the lock for less than this; a supervisor holds it.
HOLDER_SECONDS: Final = 0.2


class StackRunningError(RuntimeError):
    """Another stack uses the data folder. The text names the process."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths in one data folder."""

    data: Path
    gateway_name: str = "gateway"
    """The folder of the gateway: while a stack replaces another, each has its own."""

    @property
    def run(self) -> Path:
        """The files of a running stack: the lock, the control socket, the programs' raw output."""
        return self.data / "run"

    @property
    def logs(self) -> Path:
        """The event files."""
        return self.data / "logs"

    @property
    def models(self) -> Path:
        """Copies of the models that were served."""
        return self.data / "models"

    @property
    def prometheus(self) -> Path:
        """Prometheus' configuration; its samples are in `data` below it."""
        return self.data / "prometheus"

    @property
    def gateway(self) -> Path:
        """The gateway's configuration and sockets, and what else only one supervisor may use."""
        return self.data / self.gateway_name

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.run / "control.sock"

    @property
    def slots(self) -> Path:
        """The file of the slots in force, which replicas follow."""
        return self.gateway / "slots"

    @property
    def own_socket(self) -> Path:
        """The control socket for the supervisor's own programs."""
        return self.gateway / "control.sock"

    @property
    def lock(self) -> Path:
        """Locked while a stack runs; contains the pid of its supervisor."""
        return self.run / "lock"

    def output(self, name: str) -> Path:
        """The raw output of a program."""
        return self.run / f"{name}.log"

    def make(self) -> None:
        """Create the folders, for their owner only: they contain requests, and the control socket.

        An existing data folder or folder of event files keeps its mode: other users may write events to it.

        Raises:
            OSError: a folder cannot be created or written.
        """
        self.data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        self.logs.mkdir(mode=FOLDER_MODE, exist_ok=True)
        for folder in (self.run, self.prometheus, self.gateway):
            make_private_folder(folder)

    def holder(self) -> int | None:
        """The pid of the supervisor that runs in this folder, or None."""
        try:
            fd = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return None if try_lock(fd) else _pid(self.lock)
        finally:
            os.close(fd)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the folder inside the block; the file contains the pid of this process.

        Raises:
            StackRunningError: another supervisor holds it.
        """
        with ExitStack() as stack:
            try:
                fd = stack.enter_context(exclusive_lock(self.lock, HOLDER_SECONDS))
            except LockedError as error:
                raise StackRunningError(already_running(self.data, _pid(self.lock))) from error
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(os.getpid()).encode(), 0)
            yield


def already_running(data: Path, pid: int) -> str:
    """The message for the start of a second stack in a data folder."""
    return (
        f"a stack is already running in {data} (pid {pid}): "
        "see `tidegate status`, replace it with `tidegate up --replace`, or stop it with `tidegate down`"
    )


def _pid(lock: Path) -> int:
    # The file is empty between the lock and the write of the pid.
    deadline = time.monotonic() + HOLDER_SECONDS
    while not (content := lock.read_bytes()) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return int(content or b"0")
