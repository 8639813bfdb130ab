"""Event logs and event files of a test: a clock for their writer, and what was written."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson

from tidegate.events.event import Origin
from tidegate.events.writer import EventWriter
from tidegate.runtime.event_log import EventLog, StreamWriter

START_NS = 1_700_000_000_123_456_789


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def files(writer: EventWriter) -> list[Path]:
    """The files of a writer, in the order of their creation."""
    return sorted(writer.directory.iterdir(), key=lambda path: int(path.name.split(".")[-2]))


def contents(writer: EventWriter) -> list[bytes]:
    return [path.read_bytes() for path in files(writer)]


def events_in(folder: Path, dataset: str = "", node: str = "*") -> list[dict[str, Any]]:
    """The whole events in the files of a folder: of `tidegate.DATASET` and of a node, or of all."""
    events = [
        orjson.loads(line)
        for path in sorted(folder.glob(f"{node}.*.ndjson"))
        # What follows the last end of a line is being written.
        for line in path.read_bytes().rpartition(b"\n")[0].splitlines()
    ]
    return [
        one for one in events if not dataset or one["event"]["dataset"] == f"tidegate.{dataset}"
    ]


class MemoryLog:
    """An event log in memory; the options are those of `EventLog`."""

    def __init__(self, node: str, **options: Any) -> None:
        self.stream = io.BytesIO()
        origin = Origin("flights", "1.2.3", "test", node, "default")
        self.log = EventLog(StreamWriter(self.stream), origin, **options)

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.stream.getvalue().splitlines()]

    def messages(self) -> list[str]:
        return [event["message"] for event in self.events()]
