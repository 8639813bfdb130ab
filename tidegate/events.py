"""The event line: one JSON object a line, in the Elastic Common Schema, appended with one write.

Everything that happens (a request, a span, a decision, a restart) becomes such a line in a file that
the collector tails. A line is written whole or not at all, so a killed process loses nothing that it
had finished. Files are never renamed and their names never used again.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from tidegate.event_size import LINE_BYTES, within

ECS_VERSION: Final = "8.17.0"
Event = dict[str, Any]
Level = Literal["debug", "info", "warn", "error"]
DataStream = Literal["logs", "traces"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who writes the events: the `service.*` fields and the data streams' namespace."""

    service: str
    version: str
    environment: str
    node: str
    namespace: str


def timestamp(unix_ns: int) -> str:
    """`@timestamp` of a moment in nanoseconds since 1970: UTC, with microseconds."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    return f"{_whole_second(seconds)}.{ns // 1000:06d}Z"


@lru_cache(maxsize=16)  # events come in order, so the second before is nearly always the second now
def _whole_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def new_event_id() -> str:
    """A unique id; it becomes the document id, which makes delivery idempotent."""
    return os.urandom(16).hex()


def make_event(
    origin: Origin,
    dataset: str,
    message: str,
    *,
    unix_ns: int,
    level: Level = "info",
    stream: DataStream = "logs",
    event_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Event:
    """An event with every field that each line must have.

    Args:
        origin: who writes it.
        dataset: the last part of its dataset: `request` becomes `tidegate.request`.
        message: a sentence for the person who reads it.
        unix_ns: when, in nanoseconds since 1970.
        level: `log.level`.
        stream: `traces` for a span, else `logs`.
        event_id: its id, if it is not to be a new random one.
        fields: further fields, nested; merged over the standard ones, one level deep.
    """
    event: Event = {
        "@timestamp": timestamp(unix_ns),
        "message": message,
        "log": {"level": level},
        "ecs": {"version": ECS_VERSION},
        "event": {"id": event_id or new_event_id(), "dataset": f"tidegate.{dataset}"},
        "service": {
            "name": origin.service,
            "version": origin.version,
            "environment": origin.environment,
            "node": {"name": origin.node},
        },
        "data_stream": {
            "type": stream,
            "dataset": f"tidegate.{dataset}",
            "namespace": origin.namespace,
        },
    }
    for name, value in (fields or {}).items():
        held = event.get(name)
        event[name] = {**held, **value} if isinstance(held, dict) else value
    return event


def encode(event: Mapping[str, Any]) -> bytes:
    """The event as one line: total, whatever the event holds.

    NaN and infinity become null; a value or a key that JSON lacks becomes its text; what UTF-8 lacks
    (a lone surrogate from a client's JSON) becomes a question mark.
    """
    try:
        return orjson.dumps(event, default=_as_json, option=_OPTIONS)
    except TypeError:
        return orjson.dumps(_plain(event), option=_OPTIONS)


_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
# orjson gives up beyond 254 levels; nobody reads an event that deep.
_DEEPEST: Final = 64


def _as_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return str(value)


def _plain(value: Any, above: tuple[int, ...] = ()) -> Any:
    """The value in types that orjson never refuses; slow, so only for what it has refused."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return int(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        if id(value) in above or len(above) == _DEEPEST:
            return "…"
        above = (*above, id(value))
        if isinstance(value, Mapping):
            return {_text(key): _plain(held, above) for key, held in value.items()}
        return [_plain(held, above) for held in value]
    return _text(value)


def _text(value: Any) -> str:
    try:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    except Exception:  # noqa: BLE001 - an object's own __str__ may raise anything
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "replace").decode()


def _held(fd: int) -> int:
    """The new file, locked for as long as it is open; -1 if a reader took it for abandoned just now.

    Once a file, so it costs the events nothing. Never waits: a reader may be stopped with its lock.
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

    Safe to call from several threads, and after a fork: the child goes on in a file of its own. A full
    disk loses that event, never the caller: `lost` counts it. The open file carries a shared `flock`: a
    reader that can lock it exclusively knows that its writer is gone.
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
    _opened_ns: int = field(default=0, init=False)
    _checked_ns: int = field(default=0, init=False)
    _start: str = field(default="", init=False)
    _sequence: itertools.count[int] = field(default_factory=itertools.count, init=False)
    # Reentrant: a signal handler or a finalizer that logs may interrupt a write in the same thread.
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __post_init__(self) -> None:
        self._begin()
        self.directory.mkdir(parents=True, exist_ok=True)
        weakly = weakref.WeakMethod(self._after_fork)

        def in_child() -> None:
            if method := weakly():
                method()

        os.register_at_fork(after_in_child=in_child)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event; of one that is too long, what `line_bytes` leaves room for."""
        self.write_line(within(encode(event), self.line_bytes))

    def write_line(self, line: bytes) -> None:
        """Append one encoded event, its line end included."""
        with self._lock:
            try:
                self._rotate_if_due(len(line))
                try:
                    self._append(line)
                except OSError as error:
                    # A file reached the process's size limit (ulimit -f): the next one has room.
                    if error.errno != errno.EFBIG or self._size == 0:
                        raise
                    self._close()
                    self._open()
                    self._append(line)
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """Close the file. A later write begins a new one."""
        with self._lock:
            self._close()

    def _append(self, line: bytes) -> None:
        # A torso that a full disk left behind gets its line end first, so that it stands alone.
        data = b"\n" + line if self._torn else line
        written = 0
        try:
            while written < len(data):
                count = os.write(self._fd, data[written:] if written else data)
                written += count
                self._size += count
        finally:
            if written:
                self._torn = data[written - 1] != 0x0A

    def _rotate_if_due(self, incoming: int) -> None:
        if self._fd >= 0:
            now_ns = self.clock_ns()
            full = self._size > 0 and self._size + incoming > self.file_bytes
            old = now_ns - self._opened_ns > self.file_seconds * 1e9
            if not (full or old or self._is_gone(now_ns)):
                return
            self._close()
        self._open()

    def _is_gone(self, now_ns: int) -> bool:
        """Whether somebody deleted the open file (looked up once a second): its lines would vanish."""
        if 0 <= now_ns - self._checked_ns < 1_000_000_000:
            return False
        self._checked_ns = now_ns
        return os.fstat(self._fd).st_nlink == 0

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.directory.mkdir(parents=True, exist_ok=True)
        while self._fd < 0:
            name = f"{self.node}.{self._start}.{next(self._sequence)}.ndjson"
            # Another writer of this node may have begun in the same millisecond: take the next name.
            with contextlib.suppress(FileExistsError):
                self._fd = _held(os.open(self.directory / name, flags, 0o640))
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

    def _begin(self) -> None:
        # The start and the process make the name unique, also after a restart within a millisecond.
        self._start = f"{self.clock_ns() // 1_000_000}-{os.getpid()}"
        self._sequence = itertools.count()

    def _after_fork(self) -> None:
        # The lock may be held by a thread that the child does not have; the file is the parent's.
        self._lock = threading.RLock()
        self._torn = False  # the parent's torso is the parent's to close
        self._close()
        self._begin()
