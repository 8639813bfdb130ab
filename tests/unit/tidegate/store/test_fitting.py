from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.events import Event, Origin, make_event
from tidegate.store import fields
from tidegate.store.embedded import EmbeddedStore
from tidegate.store.fitting import fit


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
    ],
)
def test_what_contradicts_the_mapping_is_moved(
    more: dict[str, Any], kept: dict[str, Any], misfits: dict[str, Any]
) -> None:
    fitted = fit(event(**more))
    assert fitted is not None
    assert fitted["tidegate"].pop("misfits") == misfits
    for name, value in more.items():
        if name in kept:
            assert fitted[name] == kept[name]
        elif value is not None:
            assert name not in fitted
    fields.project(fitted)


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
def test_an_event_that_fits_or_never_can_is_left_alone(more: dict[str, Any]) -> None:
    assert fit(event(**more)) is None


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
def test_whatever_an_application_adds_the_event_is_stored_in_the_end(more: dict[str, Any]) -> None:
    odd = event(**more)
    try:
        fields.project(odd)
    except fields.RefusedError:
        fitted = fit(odd)
        assert fitted is not None
        fields.project(fitted)


def test_a_fitted_event_is_found(tmp_path: Path) -> None:
    fitted = fit(event(tidegate={"model": "small"}))
    assert fitted is not None
    with closing(EmbeddedStore(tmp_path)) as store:
        assert store.append([fitted]) == []
