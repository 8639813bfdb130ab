from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.telemetry.propagation import (
    MAX_ARRIVAL_AGE_NS,
    Parent,
    format_traceparent,
    parse_request_start,
    parse_traceparent,
    read_headers,
)

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
NOW_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-03", True),  # with the random flag of level 2
        (f"  00-{TRACE}-{SPAN}-01\t", True),
        (f"01-{TRACE}-{SPAN}-01-of-a-later-version", True),
        (f"fe-{TRACE}-{SPAN}-00", False),
    ],
)
def test_a_valid_traceparent_is_parsed(value: str, sampled: bool) -> None:
    assert parse_traceparent(value.encode()) == Parent(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00_{TRACE}_{SPAN}_01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_an_invalid_traceparent_is_ignored(value: str) -> None:
    assert parse_traceparent(value.encode()) is None


@given(st.binary(max_size=80))
def test_the_parsers_accept_any_bytes(value: bytes) -> None:
    parse_traceparent(value)
    parse_request_start(value, NOW_NS)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_formatted_traceparent_is_parsed(trace: int, span: int, sampled: bool) -> None:
    parent = Parent(f"{trace:032x}", f"{span:016x}", sampled)
    value = format_traceparent(parent.trace_id, parent.span_id, sampled=sampled)
    assert parse_traceparent(value.encode()) == parent


@pytest.mark.parametrize(
    ("age_ns", "accepted"),
    [
        (0, True),
        (1_000_000, True),
        (MAX_ARRIVAL_AGE_NS, True),
        (MAX_ARRIVAL_AGE_NS + 1000, False),
        (-1000, False),
    ],
)
def test_a_recent_arrival_time_is_accepted(age_ns: int, accepted: bool) -> None:
    stamp = b"t=%d" % ((NOW_NS - age_ns) // 1000)
    assert parse_request_start(stamp, NOW_NS) == (NOW_NS - age_ns if accepted else None)


@pytest.mark.parametrize("value", [b"", b"t=", b"t=-1", b"now", b"t=1e9", b"t=" + b"9" * 30])
def test_an_invalid_arrival_time_is_ignored(value: bytes) -> None:
    assert parse_request_start(value, NOW_NS) is None
    # It may have no prefix, and a fraction.
    assert parse_request_start(b"1699999999000000.25", NOW_NS) == NOW_NS - 1_000_000_000


def test_headers_are_read_in_one_pass() -> None:
    parent, arrived_ns = read_headers(
        [
            (b"host", b"shop"),
            TRACEPARENT,
            (b"tracestate", b"a=1"),
            (b"x-request-start", b"t=1699999999000000"),
            (b"tracestate", b"b=2"),
        ],
        NOW_NS,
    )
    assert parent == Parent(TRACE, SPAN, True, "a=1,b=2")
    assert arrived_ns == NOW_NS - 1_000_000_000


@pytest.mark.parametrize(
    "headers", [[TRACEPARENT] * 2, [TRACEPARENT] * 3, [(b"tracestate", b"a=1")]]
)
def test_without_exactly_one_traceparent_there_is_no_parent(headers: Any) -> None:
    assert read_headers(headers, NOW_NS)[0] is None


@pytest.mark.parametrize("state", [b"a=" + b"x" * 600, b"a=\xff", b"a=\x01"])
def test_an_invalid_tracestate_is_dropped_without_its_parent(state: bytes) -> None:
    headers = [TRACEPARENT, (b"tracestate", state)]
    assert read_headers(headers, NOW_NS)[0] == Parent(TRACE, SPAN, True)
