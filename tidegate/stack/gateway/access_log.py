"""The gateway's access log: a program that reads HAProxy's output and writes the access events to files.

It is a process of its own (`Child.start`): if the supervisor read the pipe and stood still for some seconds,
the pipe would be full, and HAProxy drops what does not fit. To be small, it imports no settings: `argv`
passes what it needs.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import orjson

from tidegate.events.writer import EventWriter

if TYPE_CHECKING:
    from tidegate.settings import Settings

NODE: Final = "gateway"
LINE_BYTES: Final = 2**20
# HAProxy's termination state of a response that did not end: who ended it, and in which phase (data, or last
# data). Its log format has no conditions, and when its rules set the outcome, the response has just begun.
CUT: Final = re.compile("[^-][DL]")
# The same of a client that left, also in the queue, at the connection to a replica and before a response.
LEFT: Final = re.compile("[Cc][QCHDL]")


def argv(settings: Settings) -> tuple[str, ...]:
    """The command of the program; its arguments are those of the `EventWriter`.

    The folder is absolute, as the program's working directory is another one.
    """
    telemetry = settings.telemetry
    limits = (str(telemetry.file_bytes), str(telemetry.file_seconds))
    module = "tidegate.stack.gateway.access_log"
    return (sys.executable, "-P", "-m", module, str(settings.log_dir.absolute()), *limits)


def copy_events(lines: BinaryIO, writer: EventWriter, output: BinaryIO) -> None:
    """Write events to event files, and other lines (HAProxy's warnings) to the output."""
    while line := lines.readline(LINE_BYTES):
        if event := access_event(line):
            writer.write_line(event)
            continue
        # On a full disk the line is lost, but the next one must still be accepted.
        with suppress(OSError):
            output.write(line)
            output.flush()
    writer.close()


def access_event(line: bytes) -> bytes:
    """The event of a line of HAProxy's output, with its line end; empty if the line is no event."""
    try:
        event = orjson.loads(line)
        # The event of an ejected replica is about no request.
        state = event["tidegate"]["gateway"].get("termination_state", "")
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return b""
    if LEFT.match(state):
        outcome, level, end = "unknown", "warn", "the client left"
    elif CUT.match(state):
        outcome, level, end = "failure", "error", "cut off before its end"
    else:
        return line.rstrip(b"\n") + b"\n"
    event["event"]["outcome"] = outcome
    event["log"]["level"] = level
    event["message"] += f", {end}"
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)


def main() -> None:
    """Run until HAProxy has closed its output."""
    directory, file_bytes, file_seconds = sys.argv[1:]
    writer = EventWriter(Path(directory), NODE, int(file_bytes), float(file_seconds))
    copy_events(sys.stdin.buffer, writer, sys.stderr.buffer)


if __name__ == "__main__":
    main()
