"""One child process: it cannot outlive its parent, its exit needs no polling, its stop has a time limit."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tidegate.runtime.backoff import Backoff
from tidegate.runtime.private_files import UMASK
from tidegate.runtime.start_phases import READY_FD

OUTPUT_BYTES = 10 * 2**20
TRUNCATE_SECONDS = 5.0
# HAProxy drops log lines when the pipe is full: use the largest pipe that Linux allows.
PIPE_BYTES = 2**20
# A reader that does not end with the output is left alone: it still writes what it has read.
READER_END_SECONDS = 10.0
# A pipe takes so much in one piece (pipe(7)).
READY_BYTES = 4096
_PR_SET_PDEATHSIG = 1
# Resolved at import, because as little as possible must run between fork and exec.
_prctl = ctypes.CDLL(None).prctl


@dataclass(frozen=True, slots=True)
class Command:
    """A command: the arguments, the whole environment, the working directory."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def describe_exit(code: int) -> str:
    """A return code in words: `ended with exit code 2`, `was killed by SIGKILL`."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def truncate_output(path: Path, limit: int = OUTPUT_BYTES) -> None:
    """Move the content of a file of raw output that exceeds the limit to `<name>.1`.

    The program keeps appending to the same file, so lines written between the copy and the truncation are
    lost: raw output is only for troubleshooting; what must not be lost is written as an event.
    """
    try:
        if path.stat().st_size <= limit:
            return
        with suppress(OSError):  # a full disk has no space for the copy, but needs the truncation
            shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)
    except OSError:
        return  # the file is gone


async def truncate_outputs(folder: Path) -> None:
    """Truncate the files of raw output in a folder that have grown too large, until cancelled."""
    while True:
        await asyncio.sleep(TRUNCATE_SECONDS)
        for path in folder.glob("*.log"):  # noqa: ASYNC240  a folder of ten files
            truncate_output(path)


def tail(path: Path, lines: int = 15, limit: int = 16_384, start: int = 0) -> str:
    """The last lines of a file of raw output from the byte `start` on; empty if there is none."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            # truncated meanwhile, it holds only what came after
            file.seek(max(start if start <= size else 0, size - limit))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Child:
    """A running child process.

    It leads its own session, so Ctrl-C in the terminal reaches only the parent; and the kernel kills it when
    the parent dies, even by SIGKILL. A pidfd reports its exit, without a thread or polling; `announced` is
    what it writes to its pipe when it can serve (tidegate/runtime/start_phases.py).
    """

    def __init__(self, process: subprocess.Popen[bytes], ready_pipe: int | None = None) -> None:
        self.pid = process.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._process = process
        self._reader: asyncio.Task[None] | None = None
        self.announced: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._pidfd = os.pidfd_open(process.pid)
        self._ready_pipe = ready_pipe
        asyncio.get_running_loop().add_reader(self._pidfd, self._reap)
        if ready_pipe is not None:
            asyncio.get_running_loop().add_reader(ready_pipe, self._read_ready)

    @classmethod
    def start(cls, command: Command, output: Path, reader: Command | None = None) -> Child:
        """Start a process. Its output is appended to `output`.

        With a reader, its standard output is the standard input of that process, which ends when it has read
        everything, also after this one. It is started again if it fails, but after the exit of this process
        only once.

        Call it in the thread of the event loop, which must be the main thread: the kernel kills the child
        when the *thread* that created it ends.

        Raises:
            OSError: the program is missing or not executable.
        """
        parent = os.getpid()

        def die_with_parent() -> None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent died before prctl
                os._exit(1)

        ready_pipe, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            with output.open("ab") as file:
                process = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if reader else file,
                    stderr=file,
                    env={**command.env, READY_FD: str(write_end)},
                    cwd=command.cwd,
                    start_new_session=True,
                    umask=UMASK,
                    preexec_fn=die_with_parent,  # noqa: PLW1509  it takes no lock that a thread may hold
                    pipesize=PIPE_BYTES if reader else -1,
                    pass_fds=(write_end,),
                )
        except OSError:
            os.close(ready_pipe)
            raise
        finally:
            os.close(write_end)
        child = cls(process, ready_pipe)
        if reader and process.stdout:
            child._reader = asyncio.create_task(_read(process.stdout, reader, output, child.exited))
        return child

    def cpu_wait_seconds(self) -> float:
        """How long it was ready to run and had no CPU, by its main thread; 0 where that is unknown."""
        try:
            fields = Path(f"/proc/{self.pid}/schedstat").read_text(encoding="ascii").split()
        except OSError:
            return 0.0
        return int(fields[1]) / 1e9  # proc(5): nanoseconds on a CPU, waiting for one, and how often

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal, unless the process has exited."""
        if not self.exited.done():
            self._process.send_signal(signal_number)

    def kill(self) -> None:
        """Kill the process and its children."""
        if not self.exited.done():
            _kill_group(self.pid)

    async def wait(self) -> int:
        """Wait for its exit, and until its reader has read its output. Returns the return code."""
        code = await asyncio.shield(self.exited)
        if self._reader:
            await asyncio.wait([self._reader], timeout=READER_END_SECONDS)
        return code

    async def stop(self, signal_number: signal.Signals, seconds: float) -> bool:
        """Send the signal, and kill the process after `seconds`. Returns whether it exited by itself."""
        self.send(signal_number)
        try:
            async with asyncio.timeout(seconds):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()
            return False
        return True

    def _read_ready(self) -> None:
        if self._ready_pipe is not None:
            if said := os.read(self._ready_pipe, READY_BYTES):
                self.announced.set_result(said)
            self._close_ready_pipe()

    def _close_ready_pipe(self) -> None:
        if self._ready_pipe is not None:
            asyncio.get_running_loop().remove_reader(self._ready_pipe)
            os.close(self._ready_pipe)
            self._ready_pipe = None

    def _reap(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._close_ready_pipe()
        # Its remaining children would keep ports and pipes open. Until it is reaped, its id cannot be reused.
        _kill_group(self.pid)
        self.exited.set_result(self._process.wait())


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


async def _read(
    pipe: IO[bytes], reader: Command, output: Path, exited: asyncio.Future[int]
) -> None:
    """Run the reader until it has read to the end of the pipe, which holds the output between two of them."""
    clock, backoff = asyncio.get_running_loop().time, Backoff()
    with pipe:
        while True:
            began, last = clock(), exited.done()
            try:
                if await asyncio.shield(_start_reader(pipe, reader, output).exited) == 0:
                    return
            except OSError as error:
                with suppress(OSError), output.open("a") as file:
                    file.write(f"{reader.argv[0]} cannot be started: {error}\n")
            if last:
                return
            wait = backoff.failed(clock() - began)
            await asyncio.wait([exited], timeout=wait)


def _start_reader(pipe: IO[bytes], reader: Command, output: Path) -> Child:
    with output.open("ab") as file:
        process = subprocess.Popen(
            reader.argv,
            stdin=pipe,
            stdout=file,
            stderr=file,
            env=reader.env,
            cwd=reader.cwd,
            start_new_session=True,
            umask=UMASK,
        )
    return Child(process)
