"""The headers of a request: its trace (W3C Trace Context) and its arrival at the gateway."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

MAX_ARRIVAL_AGE_NS: Final = 300 * 1_000_000_000
"""An older arrival time is ignored: the request is a replay, or the clocks differ."""

SAMPLED: Final = 0x01

# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT: Final = re.compile(
    rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_MAX_START_DIGITS: Final = 19
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
    whole, _, fraction = value.strip(b" \t").removeprefix(b"t=").partition(b".")
    if not whole.isdigit() or len(whole) > _MAX_START_DIGITS or fraction.strip(b"0123456789"):
        return None
    arrived_ns = int(whole) * 1000
    return arrived_ns if 0 <= now_ns - arrived_ns <= MAX_ARRIVAL_AGE_NS else None


def read_headers(
    headers: Collection[tuple[bytes, bytes]], now_ns: int
) -> tuple[Parent | None, int | None]:
    """The parent span and the arrival time in a request's ASGI headers (names in lower case)."""
    last = dict(headers)
    start = last.get(b"x-request-start")
    arrived_ns = None if start is None else parse_request_start(start, now_ns)
    return _parent(headers) if b"traceparent" in last else None, arrived_ns


def _parent(headers: Collection[tuple[bytes, bytes]]) -> Parent | None:
    parents = [value for name, value in headers if name == b"traceparent"]
    states = [value for name, value in headers if name == b"tracestate"]
    # The specification allows exactly one parent; several are ignored.
    parent = parse_traceparent(parents[0]) if len(parents) == 1 else None
    if parent is not None and states:
        text = b",".join(states).decode("latin-1")
        if len(text) <= _MAX_TRACESTATE_LENGTH and text.isascii() and text.isprintable():
            parent = parent._replace(state=text)
    return parent


def format_traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """The value of a `traceparent` or `traceresponse` header."""
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}"
