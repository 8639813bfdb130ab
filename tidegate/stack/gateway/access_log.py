"""The gateway's access log: writes the access events from its standard output to event files."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from tidegate.events.writer import EventWriter
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings

NODE: Final = "gateway"


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Receives the gateway's output lines. Those that are no events (warnings) go to its raw output."""

    writer: EventWriter
    output: Path

    @classmethod
    def from_settings(cls, settings: Settings, output: Path) -> AccessLog:
        """The access log of a stack with these settings."""
        return cls(event_writer(settings, NODE), output)

    def __call__(self, line: bytes) -> None:
        """Write one line, given without its line end."""
        if _is_object(line):
            self.writer.write_line(line + b"\n")
            return
        # On a full disk the line is lost, but the next one must still be accepted.
        with suppress(OSError), self.output.open("ab") as file:
            file.write(line + b"\n")

    def close(self) -> None:
        """Close the event file; a later line would start a new one."""
        self.writer.close()


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False
