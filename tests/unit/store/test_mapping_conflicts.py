from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.events.event import Event, Origin, make_event
from tidegate.store import fields
from tidegate.store.mapping_conflicts import move_conflicting_values


def event(**more: Any) -> Event:
    origin = Origin("flights", "1.2.3", "local", "flights-1", "unit")
    return {**make_event(origin, "app", "hello", unix_ns=10**18, event_id="id"), **more}


@pytest.mark.parametrize(
    ("more", "kept", "misfits"),
    [
        ({"tidegate": {"model": "small"}}, {"tidegate": {}}, {"tidegate.model": "small"}),
        (
            {"tidegate": {"rows": {"a": 1}, "work": "light"}},
            {"tidegate": {"work": "light"}},
            {"tidegate.rows": {"a": 1}},
        ),
        ({"tidegate": "text"}, {"tidegate": {}}, {"tidegate": "text"}),
        ({"log": ["text", {"level": "warn"}]}, {}, {"log": ["text", {"level": "warn"}]}),
        (
            {"log": [{"level": {"a": 1}}, {"level": "warn"}]},
            {"log": [{}, {"level": "warn"}]},
            {"log.level": {"a": 1}},
        ),
        ({"tags": ["a", [{"b": 1}]]}, {}, {"tags": ["a", [{"b": 1}]]}),
        ({"log.level.deep": 1}, {}, {"log.level.deep": 1}),
        ({"http": {"response.status_code": {}}}, {"http": {}}, {"http.response.status_code": {}}),
        ({"message": {"a": 1}}, {}, {"message": {"a": 1}}),
        (
            {"tidegate": {"model": "small", "misfits": {"shop": "x"}}},
            {"tidegate": {}},
            {"tidegate.model": "small", "shop": "x"},
        ),
    ],
)
def test_values_that_conflict_with_the_mapping_are_moved(
    more: dict[str, Any], kept: dict[str, Any], misfits: dict[str, Any]
) -> None:
    moved = move_conflicting_values(event(**more))
    assert moved is not None
    assert moved["tidegate"].pop("misfits") == misfits
    for name, value in more.items():
        if name in kept:
            assert moved[name] == kept[name]
        elif value is not None:
            assert name not in moved
    fields.project(moved)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"log": None},
        {"own": {"a": [1, {"b": 2}]}},
        {"tidegate": {"attributes": "text", "own": "x", "model": {"name": "m"}}},
        {"http.request.method": "GET"},
        {"own.name": {"a": 1}},
        {"event": "text"},
        {"data_stream": 5, "log": "text"},
        {"@timestamp": {"a": 1}},
    ],
)
def test_a_valid_or_unfixable_event_is_not_changed(more: dict[str, Any]) -> None:
    assert move_conflicting_values(event(**more)) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "level", "model", "x", "a.b"]), below, max_size=3
        )
    ),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["log", "tidegate", "http", "message", "tags", "log.level", "tidegate.model", "x"]
)


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_an_event_with_any_application_fields_is_stored(more: dict[str, Any]) -> None:
    odd = event(**more)
    try:
        fields.project(odd)
    except fields.RefusedError:
        moved = move_conflicting_values(odd)
        assert moved is not None
        fields.project(moved)
