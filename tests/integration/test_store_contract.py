"""What every store does: the same tests for the embedded store and for a real Elasticsearch."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.events import Event, Origin, make_event
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.base import (
    Bucket,
    DateHistogram,
    EventStore,
    Percentiles,
    QueryError,
    Rejected,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
    Terms,
)
from tidegate.store.fitting import fit

ORIGIN = Origin("flights", "1.2.3", "local", "flights-1", "contract")
WINDOW = timedelta(days=1)
DAYS = itertools.count(secrets.randbelow(200_000))


@dataclass
class Scene:
    """A store, and a day of its own in which a test's events lie: other tests' are never found."""

    settings: Settings
    store: EventStore
    start: datetime
    made: int = field(default=0)

    def event(self, message: str = "hello", *, seconds: float = 0, **fields: Any) -> Event:
        """An event so long after the scene's start."""
        self.made += 1
        moment = self.start + timedelta(seconds=seconds)
        dataset, stream = fields.pop("dataset", "app"), fields.pop("stream", "logs")
        event = make_event(
            ORIGIN,
            dataset,
            message,
            unix_ns=int(moment.timestamp() * 1e6) * 1000,
            stream=stream,
            event_id=f"{self.start:%Y%m%d}-{self.made}",
            fields=fields,
        )
        for name, value in fields.items():
            if isinstance(value, dict) and name == "service":
                event["service"]["node"] = {"name": value["node"]["name"]}
        return event

    def search(self, query: str = "", **wanted: Any) -> SearchResult:
        wanted.setdefault("since", self.start)
        wanted.setdefault("until", self.start + WINDOW)
        return self.store.search(SearchRequest(query=query, **wanted))

    def found(self, query: str, **wanted: Any) -> list[str]:
        """The messages found, oldest first."""
        hits = self.search(query, order="asc", size=10_000, **wanted).hits
        return [str(hit["message"]) for hit in hits]


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.integration)],
)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    if request.param == "embedded":
        return load(stack={"data_dir": tmp_path_factory.mktemp("data")})
    url = request.getfixturevalue("elasticsearch_url")
    return load(store={"kind": "elasticsearch", "elasticsearch": {"url": url}})


@pytest.fixture(scope="module")
def opened(settings: Settings) -> Iterator[EventStore]:
    with closing(open_store(settings)) as store:
        yield store


@pytest.fixture
def scene(settings: Settings, opened: EventStore) -> Scene:
    return _scene(settings, opened)


def _scene(settings: Settings, store: EventStore) -> Scene:
    return Scene(settings, store, datetime(1990, 1, 1, tzinfo=UTC) + next(DAYS) * WINDOW)


def test_what_append_returned_from_is_found_whole(scene: Scene) -> None:
    event = scene.event(
        "hello", tidegate={"attributes": {"deep": [1, {"x": None}]}, "odd": "ünï🚀"}
    )
    assert scene.store.append([event]) == []
    assert scene.search().hits == [event]


def test_an_event_appended_twice_is_there_once(scene: Scene) -> None:
    event = scene.event()
    assert scene.store.append([event, event]) == []
    assert scene.store.append([event]) == []
    assert scene.search().total == 1


def test_appending_nothing_is_nothing(scene: Scene) -> None:
    assert scene.store.append([]) == []


def test_a_reader_sees_what_a_writer_appends(scene: Scene) -> None:
    with closing(open_store(scene.settings, read_only=True)) as reader:
        readable = Scene(scene.settings, reader, scene.start)
        scene.store.append([scene.event("first")])
        assert readable.found("") == ["first"]
        scene.store.append([scene.event("second", seconds=1)])
        assert readable.found("") == ["first", "second"]


def test_a_reader_appends_nothing(scene: Scene) -> None:
    with closing(open_store(scene.settings, read_only=True)) as reader:
        assert reader.append([]) == []
        with pytest.raises(StoreUnavailableError, match="for reading only"):
            reader.append([scene.event()])


# The events of the search table; a letter each, by their order.
def _sample(scene: Scene) -> list[Event]:
    def node(number: int) -> dict[str, Any]:
        return {"node": {"name": f"flights-{number}"}}

    return [
        scene.event(
            "a POST /predict 200 in 35 ms",
            seconds=0,
            dataset="request",
            service=node(1),
            http={"request": {"method": "POST"}, "response": {"status_code": 200}},
            url={"path": "/predict"},
            event={"duration": 35_000_000, "outcome": "success", "start": "2026-03-01T10:00:00Z"},
            trace={"id": "4bf92f3577b34da6a3ce929d0e0e4736"},
            tags=["blue", "Green Two"],
            tidegate={"work": "light", "prediction": {"probability": 0.25}, "kept": True},
        ),
        scene.event(
            "b POST /predict 500 in 1500 ms",
            seconds=1,
            dataset="request",
            service=node(2),
            log={"level": "error"},
            http={"response": {"status_code": 500}},
            event={
                "duration": 1_500_000_000,
                "outcome": "failure",
                "start": "2026-03-01T23:59:59Z",
            },
            error={"type": "ZeroDivisionError", "message": "division by zero"},
            tidegate={"work": "heavy", "prediction": {"probability": 1}, "kept": False},
        ),
        scene.event(
            "c Timeout waiting for a slot: retrying time-out",
            seconds=2,
            service=node(22),
            log={"level": "warn", "logger": 'a "quoted" name'},
            event={"start": "2026-03-02T00:00:00.5Z"},
        ),
        scene.event(
            "d span",
            seconds=3,
            dataset="span",
            stream="traces",
            service=node(1),
            trace={"id": "4bf92f3577b34da6a3ce929d0e0e4736"},
            span={"id": "00f067aa0ba902b7", "name": "POST /predict"},
        ),
        scene.event(
            "e Überlauf in Köln 10.0.0.1 foo_bar don't v1.2",
            seconds=4,
            service=node(3),
            log={"level": "warn", "logger": "line\nend", "file": {"path": "C:\\logs (old)\\*.txt"}},
            http={"response": {"status_code": 422}},
            tidegate={"work": "heavy", "prediction": {"probability": -0.5}},
        ),
    ]


SEARCHES = {
    # everything
    "": "abcde",
    "   ": "abcde",
    "*": "abcde",
    "*:*": "abcde",
    # keywords match whole, and by case
    "log.level:error": "b",
    "log.level:Error": "",
    "log.level:err": "",
    "log.level: error": "b",
    'log.level:"error"': "b",
    "tags:blue": "a",
    'tags:"Green Two"': "a",
    "tags:Green": "",
    "service.node.name:flights-2": "b",
    r"service.node.name:flights\-2": "b",
    "trace.id:4bf92f3577b34da6a3ce929d0e0e4736": "ad",
    'url.path:"/predict"': "a",
    r"url.path:\/predict": "a",
    'log.logger:"a \\"quoted\\" name"': "c",
    r'log.file.path:"C:\\logs (old)\\*.txt"': "e",
    r"log.file.path:C\:\\logs\ \(old\)\\\*.txt": "e",
    # wildcards and regular expressions
    "service.node.name:flights*": "abcde",
    "service.node.name:flights-2*": "bc",
    "service.node.name:flights-?": "abde",
    "service.node.name:*2": "bc",
    "service.node.name:FLIGHTS*": "",
    "log.logger:line*end": "e",
    r"log.logger:*\"quoted\"*": "c",
    r"log.file.path:*\(old\)*": "e",
    "log.level:/err.r|warn/": "bce",
    "log.level:/rro/": "",
    "time*": "c",
    "TIME*": "c",
    "message:ti?eout": "c",
    "message:/tim.*/": "c",
    # words of text
    "timeout": "c",
    "Timeout": "c",
    "message:TIMEOUT": "c",
    "message:über*": "e",
    "überlauf": "e",
    "10.0.0.1": "e",
    "foo": "",
    "foo_bar": "e",
    "v1.2": "e",
    "don't": "e",
    "time-out": "c",
    "post timeout": "abc",
    '"in 35 ms"': "a",
    '"35 in ms"': "",
    '"post predict"': "ab",
    '"post 200"': "",
    '"post 200"~1': "a",
    'message:"waiting for a slot"': "c",
    '"a slot retrying"': "c",
    'error.message:"by zero"': "b",
    "error.message:(zero OR one)": "b",
    '"—"': "",
    # fuzzy
    "timeuot~": "c",
    "tmeot~1": "",
    "log.level:eror~1": "b",
    # numbers
    "http.response.status_code:500": "b",
    "http.response.status_code:500.0": "b",
    "http.response.status_code:500.5": "",
    "http.response.status_code:[500 TO 599]": "b",
    "http.response.status_code:[200 TO 500}": "ae",
    "http.response.status_code:{200 TO *]": "be",
    "http.response.status_code:[* TO 422]": "ae",
    "http.response.status_code:[* TO *]": "abe",
    "http.response.status_code:>=422": "be",
    "http.response.status_code:>422": "b",
    "http.response.status_code:<500": "ae",
    "http.response.status_code:<=200": "a",
    "http.response.status_code:>499.5": "b",
    "http.response.status_code:<199.5": "",
    "http.response.status_code:[600 TO 500]": "",
    "http.response.status_code:(>=200 AND <422)": "a",
    "http.response.status_code:(200 OR 422)": "ae",
    "event.duration:>1000000000": "b",
    "tidegate.prediction.probability:0.25": "a",
    "tidegate.prediction.probability:1": "b",
    "tidegate.prediction.probability:>=0.25": "ab",
    "tidegate.prediction.probability:{0.25 TO 1]": "b",
    "tidegate.prediction.probability:<0": "e",
    "tidegate.prediction.probability:[-1 TO 0]": "e",
    r"tidegate.prediction.probability:\-0.5": "e",
    "tidegate.prediction.probability:[* TO *]": "abe",
    "tidegate.kept:true": "a",
    "tidegate.kept:false": "b",
    # dates
    "event.start:[2026-03-01 TO 2026-03-01]": "ab",
    "event.start:2026-03-01": "ab",
    'event.start:>="2026-03-01T12:00:00Z"': "bc",
    "event.start:>2026-03-01": "c",
    "event.start:<2026-03-02": "ab",
    'event.start:{"2026-03-01T10:00:00Z" TO *}': "bc",
    'event.start:"2026-03-02T00:00:00.500Z"': "c",
    "event.start:>now": "",
    "event.start:[2026-03-01T00 TO now+9999d]": "abc",
    # strings have an order too
    "log.level:[error TO info]": "abd",
    "log.level:{error TO *}": "acde",
    "log.level:>=info": "acde",
    # what there is
    "_exists_:http.response.status_code": "abe",
    "http.response.status_code:*": "abe",
    "_exists_:error": "b",
    "_exists_:message": "abcde",
    "error.message:*": "b",
    "NOT _exists_:trace.id": "bce",
    # AND, OR, NOT, brackets, and how they bind without brackets
    "log.level:error AND tidegate.work:heavy": "b",
    "log.level:error && tidegate.work:light": "",
    "log.level:error OR tidegate.work:light": "ab",
    "log.level:error || log.level:warn": "bce",
    "log.level:error log.level:warn": "bce",
    "log.level:(error OR warn)": "bce",
    "log.level:(error warn) AND tidegate.work:heavy": "be",
    "log.level:(error -warn)": "b",
    "log.level:(error OR tidegate.work:light)": "ab",
    r"log.level:\e\u0072ror": "b",
    "NOT log.level:info": "bce",
    "-log.level:info": "bce",
    "!log.level:info": "bce",
    "log.level:warn AND NOT tidegate.work:heavy": "c",
    "log.level:warn -tidegate.work:heavy": "c",
    "log.level:warn AND (NOT tidegate.work:heavy)": "c",
    "+log.level:warn tidegate.work:heavy": "ce",
    "NOT (log.level:info OR log.level:warn)": "b",
    "log.level:error OR log.level:warn AND tidegate.work:heavy": "e",
    "log.level:warn AND tidegate.work:heavy OR log.level:error": "e",
    "log.level:error OR (log.level:warn AND tidegate.work:heavy)": "be",
    "((log.level:error))": "b",
    "log.level:error^2 OR tidegate.work:light^0.5": "ab",
    "(log.level:error)^3": "b",
    # operators are in capitals; small ones are words
    "zero and": "",
    "division or slot": "c",
    # fields that are not in the mapping match nothing
    "no.such.field:x": "",
    "NOT no.such.field:x": "abcde",
    "tidegate.attributes.x:1": "",
    "log:error": "",
}


@pytest.fixture(scope="module")
def sample(settings: Settings, opened: EventStore) -> Scene:
    scene = _scene(settings, opened)
    assert scene.store.append(_sample(scene)) == []
    return scene


@pytest.mark.parametrize(("query", "letters"), SEARCHES.items())
def test_search_syntax(sample: Scene, query: str, letters: str) -> None:
    assert "".join(message[0] for message in sample.found(query)) == letters


@pytest.mark.parametrize(
    "query",
    [
        "log.level:",
        "log.level:error AND",
        "AND log.level:error",
        "OR",
        "NOT",
        "log.level:error AND OR x",
        "(log.level:error",
        "log.level:error)",
        "()",
        '"never closed',
        'log.level:"',
        "/never",
        "log.level:[a TO",
        "log.level:[a b]",
        "log.level:[TO b]",
        "http.response.status_code:>",
        "a:b:c",
        "url.path:/predict",
        "\\",
        "x^",
        ">5",
        r"\u12",
        "*x:y",
        "x~9",
        "log.level:/(/",
        "[",
        "~",
        "http.response.status_code:abc",
        "http.response.status_code:[a TO 5]",
        "http.response.status_code:5*",
        "http.response.status_code:/5../",
        "tidegate.prediction.probability:high",
        "tidegate.kept:maybe",
        "event.start:yesterday",
        "event.start:[x TO now]",
        "(" * 60 + "a" + ")" * 60,
    ],
)
def test_a_query_that_cannot_be_read_is_an_error_that_says_why(sample: Scene, query: str) -> None:
    with pytest.raises(QueryError) as raised:
        sample.search(query)
    assert len(str(raised.value)) > 10


def test_times_include_since_and_exclude_until(scene: Scene) -> None:
    scene.store.append([scene.event(str(number), seconds=number) for number in range(4)])
    since, until = (scene.start + timedelta(seconds=number) for number in (1, 3))
    assert scene.found("", since=since, until=until) == ["1", "2"]
    assert scene.found("", since=since) == ["1", "2", "3"]
    assert scene.search(until=until, since=None, query="message:2").total >= 1


def test_a_moment_without_a_zone_is_utc(scene: Scene) -> None:
    scene.store.append([scene.event("1", seconds=1)])
    naive = scene.start.replace(tzinfo=None)
    assert scene.found("", since=naive, until=naive + timedelta(seconds=2)) == ["1"]


def test_hits_are_sorted_by_time_both_ways_and_counted_beyond_their_number(scene: Scene) -> None:
    order = [3, 0, 2, 1]
    scene.store.append([scene.event(str(number), seconds=number) for number in order])
    newest = scene.search(size=3)
    assert [hit["message"] for hit in newest.hits] == ["3", "2", "1"]
    oldest = scene.search(size=3, order="asc")
    assert [hit["message"] for hit in oldest.hits] == ["0", "1", "2"]
    assert newest.total == oldest.total == 4
    assert scene.search(size=0) == SearchResult(4, [], {})


def test_a_stream_can_be_chosen(sample: Scene) -> None:
    assert [message[0] for message in sample.found("", stream="traces")] == ["d"]
    assert [message[0] for message in sample.found("", stream="logs")] == ["a", "b", "c", "e"]


def test_terms_are_counted_the_most_frequent_first(sample: Scene) -> None:
    found = sample.search(
        size=0,
        aggregations={
            "levels": Terms("log.level"),
            "tags": Terms("tags"),
            "status": Terms("http.response.status_code"),
            "probability": Terms("tidegate.prediction.probability"),
            "kept": Terms("tidegate.kept"),
            "top": Terms("service.node.name", size=1),
            "none": Terms("host.name"),
        },
    )
    assert found.aggregations == {
        "levels": [Bucket("info", 2), Bucket("warn", 2), Bucket("error", 1)],
        "tags": [Bucket("Green Two", 1), Bucket("blue", 1)],
        "status": [Bucket(200, 1), Bucket(422, 1), Bucket(500, 1)],
        "probability": [Bucket(-0.5, 1), Bucket(0.25, 1), Bucket(1.0, 1)],
        "kept": [Bucket(False, 1), Bucket(True, 1)],
        "top": [Bucket("flights-1", 2)],
        "none": [],
    }
    kept = found.aggregations["kept"]
    assert isinstance(kept, list)
    assert all(isinstance(bucket.key, bool) for bucket in kept)


def test_aggregations_are_over_what_the_query_finds(sample: Scene) -> None:
    found = sample.search(
        "tidegate.work:heavy", aggregations={"levels": Terms("log.level")}, stream="logs"
    )
    assert found.aggregations == {"levels": [Bucket("error", 1), Bucket("warn", 1)]}


def test_a_date_histogram_counts_by_interval_gaps_included(scene: Scene) -> None:
    scene.store.append([scene.event(seconds=number) for number in (0, 1, 9, 31)])
    found = scene.search(size=0, aggregations={"time": DateHistogram(timedelta(seconds=10))})
    starts = [scene.start + timedelta(seconds=number) for number in (0, 10, 20, 30)]
    counts = [3, 0, 0, 1]
    assert found.aggregations["time"] == [
        Bucket(start, count) for start, count in zip(starts, counts, strict=True)
    ]


def test_percentiles_lie_near_the_true_ones(scene: Scene) -> None:
    scene.store.append(
        [scene.event(event={"duration": 1_000_000 * number}) for number in range(1, 1001)]
    )
    found = scene.search(
        size=0, aggregations={"d": Percentiles("event.duration", (50.0, 95, 99.9))}
    )
    percentiles = found.aggregations["d"]
    assert isinstance(percentiles, dict)
    assert percentiles[50.0] == pytest.approx(500_000_000, rel=0.03)
    assert percentiles[95] == pytest.approx(950_000_000, rel=0.03)
    assert percentiles[99.9] == pytest.approx(999_000_000, rel=0.03)


def test_percentiles_of_nothing_are_none(scene: Scene) -> None:
    scene.store.append([scene.event()])
    found = scene.search(aggregations={"d": Percentiles("event.duration", (50.0, 95.0))})
    assert found.aggregations == {"d": {50.0: None, 95.0: None}}


def test_aggregations_over_no_events_are_empty(scene: Scene) -> None:
    found = scene.search(
        aggregations={
            "terms": Terms("log.level"),
            "time": DateHistogram(timedelta(seconds=1)),
            "percentiles": Percentiles("event.duration", (50.0,)),
        }
    )
    assert found == SearchResult(0, [], {"terms": [], "time": [], "percentiles": {50.0: None}})


@pytest.mark.parametrize(
    "wanted",
    [
        {"aggregations": {"x": Terms("message")}},
        {"aggregations": {"x": Terms("no.such.field")}},
        {"aggregations": {"x": Terms("log.level", size=0)}},
        {"aggregations": {"x": Percentiles("log.level")}},
        {"aggregations": {"x": Percentiles("event.duration", (101.0,))}},
        {"aggregations": {"x": Percentiles("event.duration", ())}},
        {"aggregations": {"x": DateHistogram(timedelta(0))}},
        {"aggregations": {"x": DateHistogram(timedelta(microseconds=1500))}},
        {"size": -1},
        {"size": 10_001},
    ],
)
def test_what_no_store_can_answer_is_an_error_that_says_why(
    sample: Scene, wanted: dict[str, Any]
) -> None:
    with pytest.raises(QueryError, match=r"x: |0 to 10000"):
        sample.search(**wanted)


def test_too_many_intervals_are_an_error(scene: Scene) -> None:
    scene.store.append([scene.event(), scene.event(seconds=3600)])
    with pytest.raises(QueryError, match=r"(?i)bucket"):
        scene.search(aggregations={"time": DateHistogram(timedelta(milliseconds=1))})


def _set(event: Event, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        event = event.setdefault(name, {})
    event[last] = value


# A value of a wrong type is kept in the event and cannot be searched. One that can be read as its field's
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
        ("unknown.field", {"a": [1, {"b": 2}]}, "_exists_:unknown", False),
    ],
)
def test_an_odd_value_is_kept_and_found_as_elasticsearch_would(
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
def test_an_event_of_a_wrong_shape_is_rejected_and_holds_up_no_other(
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


def test_a_rejected_event_can_be_made_to_fit(scene: Scene) -> None:
    odd = scene.event("odd", tidegate={"model": "small", "rows": {"a": 1}}, tags=[{}])
    odd["log"] = "text"
    assert [one.index for one in scene.store.append([odd])] == [0]
    fitted = fit(odd)
    assert fitted is not None
    assert scene.store.append([fitted]) == []
    assert scene.search().hits == [fitted]


def test_an_event_without_a_time_is_rejected(scene: Scene) -> None:
    event = scene.event()
    del event["@timestamp"]
    assert [one.index for one in scene.store.append([event])] == [0]


def test_an_event_nested_deeper_than_json_goes_is_stored_or_rejected(scene: Scene) -> None:
    deep: dict[str, Any] = {}
    held = deep
    for _ in range(2000):
        held["x"] = {}
        held = held["x"]
    rejected = scene.store.append([scene.event("a"), scene.event("b", tidegate=deep)])
    assert {one.index for one in rejected} <= {1}
    assert "a" in scene.found("")


def test_ten_thousand_events_are_all_there(scene: Scene) -> None:
    events = [scene.event(f"number {n}", seconds=n, tidegate={"rows": n}) for n in range(10_000)]
    for start in range(0, len(events), 2500):
        assert scene.store.append(events[start : start + 2500]) == []
    found = scene.search(size=10_000, order="asc")
    assert found.total == 10_000
    assert [hit["tidegate"]["rows"] for hit in found.hits] == list(range(10_000))
    assert scene.search("tidegate.rows:[5000 TO 5999]", size=0).total == 1000


def test_a_large_event_is_stored(scene: Scene) -> None:
    event = scene.event("word " * 200_000)
    assert scene.store.append([event]) == []
    assert scene.search("message:word").hits == [event]


def test_closing_twice_does_no_harm(settings: Settings) -> None:
    store: EventStore = open_store(settings, read_only=True)
    store.close()
    store.close()
