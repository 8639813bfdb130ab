"""The headers of a request: its trace (W3C Trace Context) and its arrival at the gateway."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

MAX_ARRIVAL_AGE_NS: Final = 300 * 1_000_000_000
"""An older arrival time is ignored: the request is a replay, or the clocks differ."""

SAMPLED: Final = 0x01

# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_REQUEST_START: Final = re.compile(rb"(?:t=)?([0-9]{1,19})(?:\.[0-9]*)?")
_MAX_TRACESTATE_LENGTH: Final = 512  # longer ones may be dropped, by the specification


class Parent(NamedTuple):
    """The parent span of a request.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        sampled: whether the caller samples the trace.
        state: `tracestate`, which is passed on unchanged.
        remote: whether it is from a header; False if it is the span of an outer instrumented application.
    """

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""
    remote: bool = True


class IncomingHeaders(NamedTuple):
    """The parent span and the arrival time (nanoseconds since 1970) in the headers of a request."""

    parent: Parent | None
    arrived_ns: int | None


def parse_traceparent(value: bytes) -> Parent | None:
    """The parent in a `traceparent` header; None if it is invalid."""
    match = _TRACEPARENT.fullmatch(value.strip(b" \t"))
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return Parent(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & SAMPLED))


def parse_request_start(value: bytes, now_ns: int) -> int | None:
    """The arrival time in `X-Request-Start: t=<microseconds since 1970>`, in nanoseconds.

    None if it is invalid, in the future or is older than `MAX_ARRIVAL_AGE_NS`.
    """
    match = _REQUEST_START.fullmatch(value.strip(b" \t"))
    if match is None:
        return None
    arrived_ns = int(match[1]) * 1000
    return arrived_ns if 0 <= now_ns - arrived_ns <= MAX_ARRIVAL_AGE_NS else None


def read_headers(headers: Iterable[tuple[bytes, bytes]], now_ns: int) -> IncomingHeaders:
    """Read a request's ASGI headers (names in lower case) in one pass."""
    parents: list[bytes] = []
    states: list[bytes] = []
    arrived_ns: int | None = None
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
        elif name == b"x-request-start":
            arrived_ns = parse_request_start(value, now_ns)
    # The specification allows exactly one parent; several are ignored.
    parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if parent is not None and states:
        text = b",".join(states).decode("latin-1")
        if len(text) <= _MAX_TRACESTATE_LENGTH and text.isascii() and text.isprintable():
            parent = parent._replace(state=text)
    return IncomingHeaders(parent, arrived_ns)


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """The value of a `traceparent` or `traceresponse` header."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
