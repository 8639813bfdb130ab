"""An event's line is never longer than the collector accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.events.event import Origin, encode, make_event
from tidegate.events.truncation import LIMITS, LINE_BYTES, TAG, truncate_line
from tidegate.events.writer import EventWriter
from tidegate.runtime.identity import event_writer
from tidegate.settings import Settings

ORIGIN = Origin("flights", "1", "local", "flights-1", "default")
SHORTEST = 16_384


def line(**fields: Any) -> bytes:
    return encode(make_event(ORIGIN, "request", "hello", unix_ns=0, event_id="x", fields=fields))


def test_the_default_is_the_limit_of_the_collector() -> None:
    assert Settings().collector.line_bytes == LINE_BYTES


def test_a_short_line_is_unchanged() -> None:
    trace = line(error={"stack_trace": "x" * LIMITS[0][0]})
    rows = line(tidegate={"features": [[1.5] * 20] * 700})
    assert 50_000 < len(rows) < LINE_BYTES
    assert truncate_line(trace) == trace
    assert truncate_line(rows) == rows


def test_a_long_text_keeps_its_start_and_end_and_the_event_is_tagged() -> None:
    long = line(error={"message": "why " + "x" * 1_000_000 + " here"}, tags=["mine"])
    event = orjson.loads(truncate_line(long))
    message = event["error"]["message"]
    assert len(message) < LIMITS[0][0] + 100
    assert message.startswith("why xxx")
    assert message.endswith("xxx here")
    assert "… [967241 characters cut] …" in message
    assert event["tags"] == ["mine", TAG]
    assert event["message"] == "hello"


def test_a_long_list_keeps_its_first_entries() -> None:
    long = line(tidegate={"values": list(range(100_000)), "model": {"name": "flights"}})
    cut = orjson.loads(truncate_line(long))
    assert cut["tidegate"] == {"values": list(range(4096)), "model": {"name": "flights"}}
    assert cut["tags"] == [TAG]


def test_an_event_too_long_everywhere_keeps_the_required_fields() -> None:
    wide = {f"{n}" + "k" * 200: {f"{m}": "\x01" * 500 for m in range(64)} for n in range(64)}
    cut = orjson.loads(truncate_line(line(tidegate=wide, trace={"id": "0" * 32})))
    short = orjson.loads(line(trace={"id": "0" * 32}))
    assert cut == {**short, "tags": [TAG]}


json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
names = st.sampled_from(["message", "event", "service", "tags", "tidegate", "error", "@timestamp"])


@given(st.dictionaries(names, json), st.sampled_from([1, 300, 20_000]), st.sampled_from("x\x01ü😀"))
def test_any_event_is_truncated_to_the_limit(fields: dict[str, Any], times: int, text: str) -> None:
    event = {**fields, "more": [text * times] * 3, "event": {"id": text * times, "many": fields}}
    cut = truncate_line(encode(event), SHORTEST)
    assert len(cut) <= SHORTEST
    assert cut.endswith(b"\n")
    orjson.loads(cut)


@pytest.mark.parametrize("setting", [SHORTEST, 100_000])
def test_a_writer_truncates_to_the_setting(tmp_path: Path, setting: int) -> None:
    settings = Settings(stack={"data_dir": tmp_path}, collector={"line_bytes": setting})
    writer: EventWriter = event_writer(settings, "flights-1")
    writer.write(make_event(ORIGIN, "app", "x" * 1_000_000, unix_ns=0))
    writer.close()
    (file,) = settings.log_dir.iterdir()
    assert 1000 < file.stat().st_size <= setting
