"""Events: their fields and their encoding as a line of JSON."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.harnesses.event_files import START_NS
from tidegate.events import event as events
from tidegate.events.event import Origin, encode, make_event, new_event_id, timestamp

ORIGIN = Origin("flights", "1", "local", "flights-1", "default")


@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (START_NS, "2023-11-14T22:13:20.123456Z"),
        (START_NS + 10**9, "2023-11-14T22:13:21.123456Z"),
        (1_700_000_000_999_999_999, "2023-11-14T22:13:20.999999Z"),
    ],
)
def test_a_timestamp_is_utc_truncated_to_microseconds(unix_ns: int, text: str) -> None:
    assert timestamp(unix_ns) == text


def test_an_event_has_all_required_fields() -> None:
    event = make_event(ORIGIN, "request", "hello", unix_ns=START_NS, event_id="x")
    assert event == {
        "@timestamp": "2023-11-14T22:13:20.123456Z",
        "message": "hello",
        "log": {"level": "info"},
        "ecs": {"version": events.ECS_VERSION},
        "event": {"id": "x", "dataset": "tidegate.request"},
        "service": {
            "name": "flights",
            "version": "1",
            "environment": "local",
            "node": {"name": "flights-1"},
        },
        "data_stream": {"type": "logs", "dataset": "tidegate.request", "namespace": "default"},
    }


def test_fields_are_merged_over_the_required_ones() -> None:
    fields = {"event": {"action": "request"}, "message": "other", "tidegate": {"rows": 1}}
    event = make_event(ORIGIN, "span", "m", unix_ns=0, stream="traces", level="warn", fields=fields)
    assert event["event"]["dataset"] == "tidegate.span"
    assert event["event"]["action"] == "request"
    assert event["message"] == "other"
    assert event["tidegate"] == {"rows": 1}
    assert event["data_stream"]["type"] == "traces"
    assert event["log"] == {"level": "warn"}


def test_event_ids_are_unique() -> None:
    ids = {new_event_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {32}


def test_a_forked_process_has_ids_of_its_own() -> None:
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        ids = os.read(reading, 1000).decode().split()
        os.close(reading)
        assert os.waitpid(child, 0) == (child, 0)
        assert len({*ids, new_event_id(), new_event_id()}) == 4
        assert len(ids) == 2
    else:
        os.write(writing, f"{new_event_id()} {new_event_id()}".encode())
        os._exit(0)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Money(float):
    def __float__(self) -> float:
        raise RuntimeError("no number")


class Count(int):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Rows(list[int]):
    def __iter__(self) -> Any:
        raise RuntimeError("no rows")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ([Money(1.5), 2**64], [1.5, str(2**64)]),
        ([Money("nan"), Count(7), Count(2**64)], [None, 7, str(2**64)]),
        ([Rows([1]), 2**64, 10**5000], ["<Rows>", str(2**64), "<int>"]),
        (math.nan, None),
        (math.inf, None),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, math.inf]), [1.0, None]),
        ({1: "a", None: "b", 2.5: "d"}, {"1": "a", "null": "b", "2.5": "d"}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({b"\xff": 3}, {"\ufffd": 3}),
        ("a\ud800b", "a?b"),
        ({"\ud800": 1}, {"?": 1}),
        ("two\nlines", "two\nlines"),
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (b"caf\xc3\xa9\xff", "café\ufffd"),
        ({7}, [7]),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a": {"b": 1}}),
        (Path("/x"), "/x"),
        (
            [Unprintable(), "\ud800", (1, None, True, 0.5)],
            ["<Unprintable>", "?", [1, None, True, 0.5]],
        ),
    ],
)
def test_any_value_is_encoded_as_json(value: Any, written: Any) -> None:
    line = encode({"value": value})
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert orjson.loads(line) == {"value": written}


def test_a_recursive_event_is_encoded() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["self"] = [loop, loop]
    assert orjson.loads(encode(loop)) == {"a": 1, "self": ["…", "…"]}


def test_a_deeply_nested_event_is_truncated() -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    assert "…" in orjson.loads(encode({"deep": deep, "rest": 1})).__repr__()


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda values: st.lists(values) | st.dictionaries(st.text() | st.integers(), values),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters()), json_like))
def test_any_event_is_encoded_as_one_line(event: dict[str, Any]) -> None:
    line = encode(event)
    assert line.count(b"\n") == 1
    assert isinstance(orjson.loads(line), dict)
