"""The gateway's access log: a program that reads HAProxy's output and writes the access events to files.

It is a process of its own (`Child.start`): if the supervisor read the pipe and stood still for some seconds,
the pipe would be full, and HAProxy drops what does not fit. To be small, it imports no settings: `argv`
passes what it needs. HAProxy writes only what it alone knows, as a JSON list for each request; what follows
from that is added here.
"""

from __future__ import annotations

import fcntl
import re
import sys
import termios
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import orjson

from tidegate.events.event import new_event_id, timestamp
from tidegate.events.writer import EventWriter

if TYPE_CHECKING:
    from tidegate.settings import Settings
    from tidegate.stack.gateway.request_times import RequestTimes

NODE: Final = "gateway"
LINE_BYTES: Final = 2**20
# To read each line at once would cost both programs more than the line: this program reads when so much is
# there, at the latest after so many looks. HAProxy drops what the pipe has no room for, and a line of more
# than 2 KiB takes one of its 256 pages for itself: between two looks there is room for 12,800 such lines a
# second, and HAProxy answers at most 8,000 requests with its one thread (120 µs each).
MUCH_BYTES: Final = 2**14
LOOKS: Final = 3
LOOK_SECONDS: Final = 0.02
# Lines that are read, and written, together.
WRITE_BYTES: Final = 2**16
# Where this program answers with the times of requests, in its working directory; the gateway forwards to it.
REQUESTS_SOCKET: Final = "requests.sock"
# So many of these are read before they are written, if HAProxy is faster than this program: 16 MiB at most.
HELD: Final = 256
# The first item of HAProxy's lines (observability/haproxy/haproxy.cfg.j2).
ACCESS: Final = "access"
MALFORMED: Final = "malformed"
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
TRACEPARENT: Final = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?$"
# Values of that form that are invalid: version ff, version 00 with more than four fields, an id of zeros.
INVALID_TRACEPARENT: Final = "^(ff|00-.{53}|.{3}0{32}|.{36}0{16})"
_TRACE: Final = re.compile(f"(?!{INVALID_TRACEPARENT}){TRACEPARENT}")
# HAProxy's termination state of a response that did not end: who ended it, and in which phase (data, or last
# data). Its log format has no conditions, and when its rules set the outcome, the response has just begun.
CUT: Final = re.compile("[^-][DL]")
# The same of a client that left, also in the queue, at the connection to a replica and before a response.
LEFT: Final = re.compile("[Cc][QCHDL]")


def argv(settings: Settings) -> tuple[str, ...]:
    """The command of the program; its arguments are those of the `EventWriter` and of `copy_events`.

    The folder is absolute, as the program's working directory is another one. A program of
    `replicas.command` may send a `traceresponse` without writing an event.
    """
    # Only the program that starts this one needs it.
    from tidegate.telemetry.metrics import duration_edges  # noqa: PLC0415

    telemetry = settings.telemetry
    limits = (str(telemetry.file_bytes), str(telemetry.file_seconds))
    every = "every" if settings.replicas.command else ""
    edges = ",".join(map(repr, duration_edges(settings.slo.latency_seconds))) if every else ""
    module = "tidegate.stack.gateway.access_log"
    folder, constant = str(settings.log_dir.absolute()), constant_fields(settings, ACCESS).decode()
    until = settings.slo.until
    return (sys.executable, "-P", "-m", module, folder, *limits, constant, edges, until, every)


def constant_fields(settings: Settings, dataset: str) -> bytes:
    """The fields that are the same in every event of a dataset, as JSON without its braces."""
    # Only the program that starts this one needs them.
    from tidegate.events.event import make_event  # noqa: PLC0415
    from tidegate.runtime.identity import event_origin  # noqa: PLC0415

    template = make_event(event_origin(settings, NODE), dataset, "", unix_ns=0)
    return orjson.dumps({name: template[name] for name in ("ecs", "service", "data_stream")})[1:-1]


def copy_events(
    lines: BinaryIO,
    writer: EventWriter,
    output: BinaryIO,
    constant: bytes,
    times: RequestTimes | None = None,
    *,
    every: bool,
) -> None:
    """Write events to event files, and other lines (HAProxy's warnings) to the output, until the input ends.

    Unless `every` request leaves an event here, one that ended leaves none if its replica has recorded
    it: that event is written before the end of the response, so a kill loses none.
    """
    for chunk in _chunks(lines):
        events: list[bytes] = []
        size = 0
        for line in chunk.splitlines(keepends=True):
            event = access_event(line, constant, times, every=every)
            if event is not None:
                events.append(event)
                size += len(event)
                if size >= WRITE_BYTES:
                    writer.write_line(b"".join(events))
                    events, size = [], 0
                continue
            # On a full disk the line is lost, but the next one must still be accepted.
            with suppress(OSError):
                output.write(line)
                output.flush()
        if events:
            writer.write_line(b"".join(events))
    writer.close()


def _chunks(lines: BinaryIO) -> Iterator[bytes]:
    """Whole lines, and the rest at the end. What came meanwhile is read before the next ones are returned."""
    held: deque[bytes] = deque()
    rest = b""
    while True:
        while not held or (len(held) < HELD and _unread_bytes(lines) >= MUCH_BYTES):
            held.append(lines.read(WRITE_BYTES))
        data = held.popleft()
        if not data:
            break
        whole, end, rest = (rest + data).rpartition(b"\n")
        if len(rest) >= LINE_BYTES:
            whole, end, rest = whole + end + rest, b"", b""
        yield whole + end
        if not held:
            _wait_for_much(lines)
    yield rest


def _wait_for_much(lines: BinaryIO) -> None:
    for _ in range(LOOKS):
        if _unread_bytes(lines) >= MUCH_BYTES:
            return
        time.sleep(LOOK_SECONDS)


def _unread_bytes(lines: BinaryIO) -> int:
    number = array("i", [0])
    fcntl.ioctl(lines, termios.FIONREAD, number)
    return number[0]


def access_event(
    line: bytes, constant: bytes, times: RequestTimes | None = None, *, every: bool = True
) -> bytes | None:
    """The event of a line of HAProxy's output, with its line end; empty if its replica's event suffices.

    None if the line is no event.
    """
    try:
        found = orjson.loads(line)
        if isinstance(found, dict):  # about a replica (ejection.lua): it is an event already
            return line.rstrip(b"\n") + b"\n" if "event" in found else None
        kind, *fields = found
        if not every and kind == ACCESS and _is_recorded(fields):
            return b""
        event = _EVENTS[kind](fields)
        if times is not None and kind == ACCESS:
            _observe(times, fields)
    except (LookupError, TypeError, ValueError):  # of JSON, too
        return None
    return orjson.dumps(event)[:-1] + b"," + constant + b"}\n"


def _is_recorded(fields: list[Any]) -> bool:
    """Whether a replica has recorded the request, and the gateway knows no more about it than the times."""
    _, _, status, _, _, _, recorded, *_, retries, state = fields
    ended = status is not None and retries == "0" and state.startswith("--")
    return ended and bool(_TRACE.match(recorded))


def _observe(times: RequestTimes, fields: list[Any]) -> None:
    """Count the request of a line, unless a replica has recorded it, or not answered it."""
    now_us, start_us, status, _, _, _, recorded, *_ = fields
    *_, connect_ms, answer_ms, data_ms, server, _, state = fields
    if (
        status is not None
        and data_ms >= 0
        and state.startswith("--")
        and not _TRACE.match(recorded)
    ):
        # Not what is left of the duration: before it the client may have sent its body slowly.
        with_program = (connect_ms + answer_ms) / 1e3 if server.startswith("model") else None
        times.observe(status, (now_us - start_us) / 1e6, data_ms / 1e3, with_program)


def _access(fields: list[Any]) -> dict[str, Any]:
    """The fields of an access event that are not constant.

    Args:
        fields: times of its end and its start, in microseconds since 1970; the status, null if the client
            left before there was one; the method and the path, cut; the valid `traceparent` of the client and
            `traceresponse` of the replica; why the gateway refused the request; milliseconds in the queue,
            until the replica was connected, until the head of its response, and from there to its end, each
            negative if it did not come so far; HAProxy's name of the replica; its number of retries, with a +
            in front if the request went to another replica; its termination state.
    """
    (
        now_us,
        start_us,
        status,
        method,
        path,
        *traces,
        reason,
        queue_ms,
        _,
        _,
        data_ms,
        server,
        retries,
        state,
    ) = fields
    trace = next(filter(_TRACE.match, reversed(traces)), None)
    end = ""
    if LEFT.match(state):
        outcome, level, end = "unknown", "warn", ", the client left"
    elif CUT.match(state):
        outcome, level, end = "failure", "error", ", cut off before its end"
    elif status is None:
        outcome, level = "unknown", "warn"
    else:
        outcome = "failure" if status >= 500 else "success"
        level = "error" if status >= 500 else "warn" if status >= 400 else "info"
    answered = status is not None
    return {
        "@timestamp": timestamp(now_us * 1000),
        "message": f"{method} {path} {status if answered else 'unanswered'}{end}",
        "log": {"level": level},
        "event": {
            "id": new_event_id(),
            "dataset": "tidegate.access",
            "action": "access",
            "outcome": outcome,
            "reason": reason,
            "start": timestamp(start_us * 1000),
            "duration": (now_us - start_us) * 1000,
        },
        "http": {"request": {"method": method}, "response": {"status_code": status}},
        "url": {"path": path},
        "trace": {"id": trace[3:35]} if trace else {},
        "tidegate": {
            **(
                {"first_byte_ns": (now_us - start_us - data_ms * 1000) * 1000}
                if data_ms >= 0
                else {}
            ),
            "gateway": {
                "queue_ns": max(0, queue_ms) * 1_000_000 if answered else None,
                "server": server,
                "retries": int(retries.lstrip("+")),
                "termination_state": state,
            },
        },
    }


def _malformed(fields: list[Any]) -> dict[str, Any]:
    """The same of a request that could not be parsed as HTTP: it has neither method nor path."""
    now_us, status, state = fields
    about = {"id": new_event_id(), "dataset": "tidegate.access", "action": "access"}
    return {
        "@timestamp": timestamp(now_us * 1000),
        "message": f"a malformed request: {status}",
        "log": {"level": "warn"},
        "event": {**about, "outcome": "success"},
        "http": {"response": {"status_code": status}},
        "tidegate": {"gateway": {"termination_state": state}},
    }


_EVENTS: Final[dict[str, Callable[[list[Any]], dict[str, Any]]]] = {
    ACCESS: _access,
    MALFORMED: _malformed,
}


def main() -> None:
    """Run until HAProxy has closed its output."""
    directory, file_bytes, file_seconds, constant, edges, until, every = sys.argv[1:]
    writer = EventWriter(Path(directory), NODE, int(file_bytes), float(file_seconds))
    times = None
    if edges:
        # prometheus_client takes 10 MB.
        from tidegate.stack.gateway.request_times import RequestTimes  # noqa: PLC0415

        buckets = tuple(map(float, edges.split(",")))
        times = RequestTimes(buckets, first_byte=until == "first_byte")
        times.serve(Path(REQUESTS_SOCKET))
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as lines:
        copy_events(lines, writer, sys.stderr.buffer, constant.encode(), times, every=bool(every))


if __name__ == "__main__":
    main()
