"""Events with values that conflict with the mapping: stored and searched, or rejected individually."""

from __future__ import annotations

from typing import Any

import pytest

from support.harnesses.store_scene import Scene
from tidegate.events.event import Event
from tidegate.store.base import Rejected
from tidegate.store.mapping_conflicts import move_conflicting_values


def _set(event: Event, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        event = event.setdefault(name, {})
    event[last] = value


# A value of a wrong type is stored in the event and cannot be searched. One that can be read as its field's
# type can.
@pytest.mark.parametrize(
    ("path", "value", "query", "matches"),
    [
        ("http.response.status_code", "abc", "_exists_:http.response.status_code", False),
        ("http.response.status_code", "", "_exists_:http.response.status_code", False),
        ("http.response.status_code", True, "_exists_:http.response.status_code", False),
        ("http.response.status_code", 2**63, "_exists_:http.response.status_code", False),
        ("http.response.status_code", "500", "http.response.status_code:500", True),
        ("http.response.status_code", "5e2", "http.response.status_code:500", True),
        ("http.response.status_code", 500.7, "http.response.status_code:500", True),
        ("http.response.status_code", [404, "x", 500], "http.response.status_code:500", True),
        ("event.duration", 2**63 - 1, "event.duration:9223372036854775807", True),
        ("event.duration", -(2**63), r"event.duration:\-9223372036854775808", True),
        ("tidegate.prediction.probability", "0.5", "tidegate.prediction.probability:0.5", True),
        ("tidegate.prediction.probability", "NaN", "_exists_:tidegate.prediction", False),
        ("tidegate.prediction.probability", float("nan"), "_exists_:tidegate.prediction", False),
        ("tidegate.prediction.probability", "x" * 100, "_exists_:tidegate.prediction", False),
        ("tidegate.kept", "true", "tidegate.kept:true", True),
        ("tidegate.kept", "", "tidegate.kept:false", True),
        ("tidegate.kept", 1, "_exists_:tidegate.kept", False),
        ("tidegate.kept", "yes", "_exists_:tidegate.kept", False),
        ("event.start", "junk", "_exists_:event.start", False),
        ("event.start", True, "_exists_:event.start", False),
        ("event.start", 1772323200000, "event.start:2026-03-01", True),
        ("event.start", "1772323200000", "event.start:2026-03-01", True),
        ("event.start", "2026-03-01", "event.start:2026-03-01", True),
        ("event.start", "2026-02-28T23:30:00-01:00", "event.start:2026-03-01", True),
        ("event.start", "2026-13-01", "_exists_:event.start", False),
        ("tags", 5, "tags:5", True),
        ("tags", 5.0, "tags:5.0", True),
        ("tags", True, "tags:true", True),
        ("tags", ["a", None, ["b"]], "tags:b", True),
        ("tags", "", 'tags:""', True),
        ("tags", "x" * 1025, "_exists_:tags", False),
        ("tags", "x" * 1024, f"tags:{'x' * 1024}", True),
        ("tags", "日本語 ünï 🚀 \u0000 end", r'tags:"日本語 \u00fcnï 🚀 \u0000 end"', True),
        ("tags", "日本語 ünï 🚀", 'tags:"日本語 ünï 🚀"', True),
        ("tags", "lone \ud800 surrogate", 'tags:"lone ? surrogate"', True),
        ("message", 5, "message:5", True),
        ("message", ["one two", "three"], "message:three", True),
        ("message", "", "NOT message:x", True),
        ("message", None, "_exists_:message", False),
        ("message", "日本 🚀 ünï", "日本 AND 🚀 AND ünï", True),
        ("log", None, "_exists_:log", False),
        ("log", [{"level": "odd"}, {"level": "even"}], "log.level:(odd AND even)", True),
        ("log.level", "error" * 20_000, "_exists_:log.level", False),
        ("tidegate.attributes", "text", "NOT _exists_:tidegate.attributes", True),
        ("tidegate.decision.inputs", [1, {"a": 2}], "_exists_:tidegate.decision", False),
        ("unknown.field", {"a": [1, {"b": 2}]}, "_exists_:unknown", True),
    ],
)
def test_an_odd_value_is_stored_and_found_as_in_elasticsearch(
    scene: Scene, path: str, value: Any, query: str, matches: bool
) -> None:
    event = scene.event()
    _set(event, path, value)
    assert scene.store.append([event]) == []
    assert scene.search().total == 1
    assert scene.search(query).total == int(matches)


def test_dotted_names_mean_nested_ones(scene: Scene) -> None:
    event = scene.event()
    del event["log"]
    event["log.level"] = "error"
    event["http"] = {"response.status_code": 500}
    scene.store.append([event])
    assert scene.search("log.level:error AND http.response.status_code:500").hits == [event]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event", "text"),
        ("event", None),
        ("event.id", ""),
        ("event.id", 5),
        ("event.id", "x" * 513),
        ("event.id", "\ud800"),
        ("message", {"a": 1}),
        ("log", "text"),
        ("log", ["text"]),
        ("log.level", {"a": 1}),
        ("http.response.status_code", {"a": 1}),
        ("tidegate.kept", {"a": 1}),
        ("event.start", {"a": 1}),
        ("log.level.deep", 1),
        ("@timestamp", "junk"),
        ("@timestamp", None),
        ("@timestamp", ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]),
        ("data_stream", None),
        ("data_stream", "logs"),
        ("data_stream.type", "metrics"),
        ("data_stream.dataset", "nginx"),
        ("data_stream.dataset", "tidegate.Upper"),
        ("data_stream.dataset", 5),
        ("data_stream.namespace", "with-dash"),
        ("data_stream.namespace", ""),
    ],
)
def test_an_event_of_a_wrong_structure_is_rejected_without_the_others(
    scene: Scene, path: str, value: Any
) -> None:
    bad = scene.event("bad")
    if path == "log.level.deep":
        bad["log.level.deep"] = value
    else:
        _set(bad, path, value)
    rejected = scene.store.append([scene.event("before"), bad, scene.event("after", seconds=1)])
    assert [one.index for one in rejected] == [1]
    assert isinstance(rejected[0], Rejected)
    assert len(rejected[0].reason) > 10
    assert scene.found("") == ["before", "after"]


def test_a_rejected_event_is_stored_after_its_values_are_moved(scene: Scene) -> None:
    odd = scene.event("odd", tidegate={"model": "small", "rows": {"a": 1}}, tags=[{}])
    odd["log"] = "text"
    assert [one.index for one in scene.store.append([odd])] == [0]
    moved = move_conflicting_values(odd)
    assert moved is not None
    assert scene.store.append([moved]) == []
    assert scene.search().hits == [moved]


@pytest.mark.parametrize(
    "name", ["_id", "_index", "_routing", "_data_stream_timestamp", "", " ", ".", "a..b", ".a"]
)
def test_a_value_under_a_name_that_no_field_can_have_is_stored_under_another(
    scene: Scene, name: str
) -> None:
    nested = scene.event("nested", seconds=1, tidegate={name: 2})
    odd = [scene.event("at the top") | {name: 1}, nested]
    allowed_below = name.startswith("_")
    assert [one.index for one in scene.store.append(odd)] == ([0] if allowed_below else [0, 1])
    moved = [move_conflicting_values(event) or event for event in odd]
    assert scene.store.append(moved) == []
    assert scene.search(order="asc").hits == moved
    assert moved[0]["tidegate"]["misfits"] == {name: 1}
    assert moved[1]["tidegate"] == (
        {name: 2} if allowed_below else {"misfits": {f"tidegate.{name}": 2}}
    )


@pytest.mark.parametrize("name", ["a.", "_x", "a b", "@x", "#"])
def test_another_odd_name_is_one_of_an_own_field(scene: Scene, name: str) -> None:
    assert scene.store.append([scene.event() | {name: 1}]) == []
    assert scene.search().total == 1


def test_an_event_nested_deeper_than_json_goes_is_stored_or_rejected(scene: Scene) -> None:
    deep: dict[str, Any] = {}
    innermost = deep
    for _ in range(2000):
        innermost["x"] = {}
        innermost = innermost["x"]
    rejected = scene.store.append([scene.event("a"), scene.event("b", tidegate=deep)])
    assert {one.index for one in rejected} <= {1}
    assert "a" in scene.found("")
