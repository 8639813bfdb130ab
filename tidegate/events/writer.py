"""Writes event files: one event per line, one or several appended with a single write."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.events.event import encode
from tidegate.events.truncation import LINE_BYTES, truncate_line


def _lock_new_file(fd: int) -> int:
    """Lock a new file for as long as it is open. Return -1 if a reader has just deleted it as abandoned.

    It runs once per file. It never waits, because a reader may be suspended while it holds the lock.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        deleted = os.fstat(fd).st_nlink == 0
    except BlockingIOError:
        deleted = True
    except OSError:
        return fd  # a file system without locks
    if not deleted:
        return fd
    os.close(fd)
    return -1


@dataclass(slots=True, weakref_slot=True)
class EventWriter:
    """Appends events to `<directory>/<node>.<start>.<seq>.ndjson`, each with a single write.

    It is thread-safe. After a fork the child writes to its own file. A failed write raises nothing: the
    event is lost, `lost` counts it, and stderr says so once until writes succeed again.

    The writer holds a shared `flock` on the open file, so a reader that can lock the file exclusively knows
    that its writer has ended.
    """

    directory: Path
    node: str
    file_bytes: int = 64 * 2**20
    file_seconds: float = 3600.0
    line_bytes: int = LINE_BYTES
    clock_ns: Callable[[], int] = time.time_ns
    lost: int = field(default=0, init=False)
    _fd: int = field(default=-1, init=False)
    _size: int = field(default=0, init=False)
    _torn: bool = field(default=False, init=False)
    _failing: bool = field(default=False, init=False)
    _opened_ns: int = field(default=0, init=False)
    _checked_ns: int = field(default=0, init=False)
    _start: str = field(default="", init=False)
    _sequence: itertools.count[int] = field(default_factory=itertools.count, init=False)
    # Reentrant: a signal handler or a finalizer that logs may interrupt a write in the same thread.
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __post_init__(self) -> None:
        self._start_sequence()
        self.directory.mkdir(parents=True, exist_ok=True)
        method_reference = weakref.WeakMethod(self._after_fork)

        def in_child() -> None:
            if method := method_reference():
                method()

        os.register_at_fork(after_in_child=in_child)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append an event, truncated to `line_bytes` if it is longer."""
        self.write_encoded(encode(event))

    def write_encoded(self, *lines: bytes) -> None:
        """Append encoded events, each truncated to `line_bytes` if it is longer, with a single write."""
        joined = b"".join(lines)
        if len(joined) > self.line_bytes:
            joined = b"".join([truncate_line(line, self.line_bytes) for line in lines])
        self.write_line(joined)

    def write_line(self, line: bytes) -> None:
        """Append an encoded event, or several, each with its line end."""
        with self._lock:
            rest, error = line, 0
            try:
                self._rotate_if_due(len(line))
                before = self._size + len(line)
                rest, error = self._append(line)
                # The file has reached the size limit of the process (ulimit -f): continue in a new file,
                # unless an empty one did not even hold a line.
                while error == errno.EFBIG and len(rest) < before:
                    before = len(rest)
                    self._close()
                    self._open()
                    rest, error = self._append(rest)
            except OSError as failure:  # there is no file
                error = failure.errno or errno.EIO
            self.lost += rest.count(b"\n")
            changed, self._failing = bool(rest) != self._failing, bool(rest)
        # Not under the lock: stderr may be redirected to a logger that writes events, in another thread, too.
        if changed:
            self._report(error)

    def close(self) -> None:
        """Close the file. A later write starts a new one."""
        with self._lock:
            self._close()

    def _report(self, error: int) -> None:
        text = f"events cannot be written to {self.directory} and are lost: {os.strerror(error)}"
        if not error:
            text = f"events are written to {self.directory} again; {self.lost} were lost"
        with contextlib.suppress(OSError, ValueError, AttributeError):  # stderr may be closed, too
            sys.stderr.write(f"tidegate: {text}\n")

    def _append(self, lines: bytes) -> tuple[bytes, int]:
        """Append lines. Return those that are not whole in the file, and the number of the error or 0."""
        # Terminate an incomplete line that a full disk has left, so that it is a line of its own.
        data = b"\n" + lines if self._torn else lines
        written, error = 0, 0
        try:
            while written < len(data):
                count = os.write(self._fd, data[written:] if written else data)
                written += count
                self._size += count
        except OSError as failure:
            error = failure.errno or errno.EIO
        finally:
            if written:
                self._torn = data[written - 1] != 0x0A
        if not error:
            return b"", 0
        whole = data.rfind(b"\n", 0, written) + 1
        return data[max(whole, len(data) - len(lines)) :], error

    def _rotate_if_due(self, incoming: int) -> None:
        if self._fd >= 0:
            now_ns = self.clock_ns()
            full = self._size > 0 and self._size + incoming > self.file_bytes
            old = now_ns - self._opened_ns > self.file_seconds * 1e9
            if not (full or old):
                if 0 <= now_ns - self._checked_ns < 1_000_000_000:
                    return
                self._checked_ns = now_ns
                if os.fstat(self._fd).st_nlink:  # else it was deleted, and new lines would be lost
                    return
            self._close()
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.directory.mkdir(parents=True, exist_ok=True)
        while self._fd < 0:
            name = f"{self.node}.{self._start}.{next(self._sequence)}.ndjson"
            # Another writer of this node may have started in the same millisecond: use the next name.
            with contextlib.suppress(FileExistsError):
                self._fd = _lock_new_file(os.open(self.directory / name, flags, 0o640))
        self._size, self._torn = 0, False
        self._opened_ns = self._checked_ns = self.clock_ns()

    def _close(self) -> None:
        fd, torn = self._fd, self._torn
        self._fd, self._torn = -1, False
        if fd >= 0:
            with contextlib.suppress(OSError):
                if torn:
                    os.write(fd, b"\n")
            with contextlib.suppress(OSError):
                os.close(fd)

    def _start_sequence(self) -> None:
        # Start time and process id make the name unique, also after a restart within a millisecond.
        self._start = f"{self.clock_ns() // 1_000_000}-{os.getpid()}"
        self._sequence = itertools.count()

    def _after_fork(self) -> None:
        # A thread that does not exist in the child may hold the lock. The file belongs to the parent.
        self._lock = threading.RLock()
        self._torn = False  # the parent terminates its incomplete line
        self._close()
        self._start_sequence()
