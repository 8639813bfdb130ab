"""The event line: one JSON object a line, in the Elastic Common Schema, appended with one write.

Everything that happens (a request, a span, a decision, a restart) becomes such a line in a file that
the collector tails. A line is written whole or not at all, so a killed process loses nothing that it
had finished. Files are never renamed and their names never used again.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import orjson

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
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{ns // 1000:06d}Z"


def new_event_id() -> str:
    """A unique id; it becomes the document id, which makes delivery idempotent."""
    return uuid.uuid4().hex


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
    """The event as one line. NaN and infinity become null; a value JSON lacks becomes its text."""
    return orjson.dumps(
        event, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    )


@dataclass(slots=True)
class EventWriter:
    """Appends events to `<directory>/<node>.<start>.<seq>.ndjson`, each with a single write.

    Safe to call from several threads. A full disk loses that event, never the caller: `lost` counts it.
    """

    directory: Path
    node: str
    file_bytes: int = 64 * 2**20
    file_seconds: float = 3600.0
    clock_ns: Callable[[], int] = time.time_ns
    lost: int = field(default=0, init=False)
    _fd: int = field(default=-1, init=False)
    _size: int = field(default=0, init=False)
    _opened_ns: int = field(default=0, init=False)
    _start: str = field(default="", init=False)
    _sequence: itertools.count[int] = field(default_factory=itertools.count, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        # The start and the process make the name unique, also after a restart within a millisecond.
        self._start = f"{self.clock_ns() // 1_000_000}-{os.getpid()}"
        self.directory.mkdir(parents=True, exist_ok=True)

    def write(self, event: Mapping[str, Any]) -> None:
        """Append one event."""
        self.write_line(encode(event))

    def write_line(self, line: bytes) -> None:
        """Append one encoded event, its line end included."""
        with self._lock:
            try:
                self._rotate_if_due(len(line))
                written = os.write(self._fd, line)
                if written < len(
                    line
                ):  # a full disk cut the line: close the torso, so that it stands alone
                    os.write(self._fd, b"\n")
                    self.lost += 1
                self._size += written
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """Close the file. A later write begins a new one."""
        with self._lock:
            self._close()

    def _rotate_if_due(self, incoming: int) -> None:
        if self._fd >= 0:
            full = self._size > 0 and self._size + incoming > self.file_bytes
            old = self.clock_ns() - self._opened_ns > self.file_seconds * 1e9
            if not (full or old):
                return
            self._close()
        name = f"{self.node}.{self._start}.{next(self._sequence)}.ndjson"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(self.directory / name, flags, 0o640)
        self._size, self._opened_ns = 0, self.clock_ns()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
