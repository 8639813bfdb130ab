"""The Logstash sink and the embedded store accept the same events (property-based)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.collector.logstash import _line
from tidegate.events.event import Origin, make_event
from tidegate.store.fields import RefusedError, document_address, project

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "unit")
NAMES = st.sampled_from(
    ["@timestamp", "@metadata", "event", "data_stream", "tidegate", "misfits", "id", "tags", "x"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@given(changes=st.dictionaries(NAMES, VALUES, max_size=4))
def test_an_event_is_sent_or_refused_as_the_stores_would(changes: dict[str, Any]) -> None:
    event = {**make_event(ORIGIN, "app", "hello", unix_ns=10**18), **changes}
    before = orjson.dumps(event)
    try:
        document_address(event)
        project(event)
    except RefusedError:
        with pytest.raises(RefusedError):
            _line(event)
        return
    line = _line(event)
    sent = orjson.loads(line)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert document_address(sent) == document_address(event)
    for name in ("@timestamp", "tags"):
        assert project(sent).get(name) == project(event).get(name)
    assert "@metadata" not in sent
    untouched = event.keys() - {"@timestamp", "@metadata", "tags", "tidegate"}
    assert {name: sent[name] for name in untouched} == {name: event[name] for name in untouched}
    assert orjson.dumps(event) == before
