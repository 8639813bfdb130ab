"""One child process: started so that it cannot outlive us, watched without polling, stopped in time."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tidegate.runtime.private_files import UMASK

OUTPUT_BYTES = 10 * 2**20
# HAProxy drops log lines when the pipe is full rather than wait: give it the largest that Linux allows.
PIPE_BYTES = 2**20
LINE_BYTES = 2**20
_PR_SET_PDEATHSIG = 1
# Looked up here, as little as possible may happen between fork and exec.
_prctl = ctypes.CDLL(None).prctl

OnLine = Callable[[bytes], None]
"""Takes one line of a program's standard output, without its line end."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: the arguments, the whole environment, the working directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def describe_exit(code: int) -> str:
    """What a return code says: `ended with exit code 2`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def truncate_output(path: Path, limit: int = OUTPUT_BYTES) -> None:
    """Empty a file of raw output that grew past the limit; what it held goes to `<name>.1`.

    The program goes on appending to the same file, so lines written between copy and cut are lost:
    raw output is for a look after a failure; what must not be lost is an event.
    """
    try:
        if path.stat().st_size <= limit:
            return
        with suppress(OSError):  # on a full disk there is no room for a copy, and all the more need
            shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)
    except OSError:
        return  # it is gone


def tail(path: Path, lines: int = 15, limit: int = 16_384) -> str:
    """The last lines of a file of raw output; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Child:
    """A running process.

    It leads a session of its own, so that Ctrl-C at our terminal reaches only us, and the kernel kills
    it when we die, even by SIGKILL. Its exit is told by a pidfd: no thread, no polling.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._pump: asyncio.Task[None] | None = None
        self._pidfd = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)

    @classmethod
    def start(cls, command: Command, output: Path, on_line: OnLine | None = None) -> Child:
        """Start it. Its output is appended to `output`, but for the standard output if `on_line` takes it.

        Must be called in the event loop's thread, and that one must be the process' main thread: the
        kernel kills the child when the *thread* that made it ends.

        Raises:
            OSError: the program is not there or may not be run.
        """
        parent = os.getpid()

        def die_with_parent() -> None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

        with output.open("ab") as file:
            process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if on_line else file,
                stderr=file,
                env=command.env,
                cwd=command.cwd,
                start_new_session=True,
                umask=UMASK,
                preexec_fn=die_with_parent,  # noqa: PLW1509  it takes no lock that a thread may hold
                pipesize=PIPE_BYTES if on_line else -1,
            )
        child = cls(process)
        if on_line and process.stdout:
            child._pump = asyncio.create_task(_pump(process.stdout, on_line))
        return child

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal; nothing if it has ended."""
        if not self.exited.done():
            self._process.send_signal(signal_number)

    def kill(self) -> None:
        """Kill it and whatever it started."""
        if not self.exited.done():
            _kill_group(self.pid)

    async def wait(self) -> int:
        """Its return code, once it has ended and its last line is taken."""
        code = await asyncio.shield(self.exited)
        if self._pump:
            await asyncio.shield(self._pump)
        return code

    async def stop(self, signal_number: signal.Signals, seconds: float) -> bool:
        """Ask it to end, and kill it after so many seconds. Returns whether it ended by itself."""
        self.send(signal_number)
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()
            return False
        return True

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        # What it left behind would hold ports and pipes. As it is not reaped yet, its id is still its own.
        _kill_group(self.pid)
        self.exited.set_result(self._process.wait())


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


async def _pump(pipe: IO[bytes], on_line: OnLine) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    rest = b""
    try:
        while chunk := await reader.read(PIPE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LINE_BYTES:  # a line without end must not fill the memory
                lines, rest = [*lines, rest], b""
            for line in lines:
                if line:
                    on_line(line)
        if rest:
            on_line(rest)
    finally:
        transport.close()
