"""The Logstash sink, against a test double of its http input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from support.doubles.logstash_double import PASSWORD, LogstashDouble, logstash_double
from support.eventually import eventually
from support.harnesses.collector_harness import Harness, event, until_done
from tidegate.collector import logstash
from tidegate.collector.logstash import LogstashSink
from tidegate.collector.sink import open_sink, sink_name
from tidegate.settings import Collector, Logstash, Settings, Store
from tidegate.store.base import StoreUnavailableError
from tidegate.store.embedded.store import EmbeddedStore
from tidegate.store.fields import project
from tidegate.store.own_fields import ignore


@pytest.fixture
def double() -> Iterator[LogstashDouble]:
    with logstash_double() as made:
        yield made


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


@pytest.fixture
def settings(double: LogstashDouble, password_file: Path) -> Logstash:
    return Logstash(url=double.url, password_file=password_file)


@pytest.fixture
def sink(settings: Logstash) -> Iterator[LogstashSink]:
    with closing(LogstashSink(settings)) as made:
        yield made


def test_events_arrive_unchanged(sink: LogstashSink, double: LogstashDouble) -> None:
    events = [event(f"číslo {number}\n", http={"version": "1.1"}) for number in range(3)]
    assert sink.append(events) == []
    assert list(double.stored.values()) == events
    assert double.requests == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"event": "text"}, "event must be an object with an id"),
        ({"data_stream": {"type": "metrics"}}, "data_stream.type must be logs or traces"),
        ({"tidegate": {"model": "small"}}, "tidegate.model must be an object"),
        ({"@timestamp": "yesterday"}, "@timestamp must be a single time"),
    ],
)
def test_invalid_events_are_rejected_and_the_others_sent(
    sink: LogstashSink, double: LogstashDouble, change: dict[str, Any], reason: str
) -> None:
    good = event("good")
    (refused,) = sink.append([{**event("hello"), **change}, good])
    assert refused.index == 0
    assert refused.reason.startswith(reason)
    assert list(double.stored.values()) == [good]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2023-11-14T22:13:20.123456789Z", "2023-11-14T22:13:20.123456789Z"),
        ("2023-11-14T23:13:20+01:00", "2023-11-14T23:13:20+01:00"),
        ("2023-11-14", "2023-11-14T00:00:00.000000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123000Z"),
    ],
)
def test_a_timestamp_is_converted_to_the_format_of_logstash(
    sink: LogstashSink, double: LogstashDouble, given: object, sent: str
) -> None:
    assert sink.append([{**event("hello"), "@timestamp": given}]) == []
    assert [one["@timestamp"] for one in double.stored.values()] == [sent]


@pytest.mark.parametrize("more", [{}, {"tidegate": {"rows": 1, "misfits": {"x": 2}}}])
def test_a_reserved_field_of_logstash_is_moved_to_the_misfits(
    sink: LogstashSink, double: LogstashDouble, more: dict[str, Any]
) -> None:
    given = {**event("hello", **more), "@metadata": {"docid": "another", "reason": "none"}}
    assert sink.append([given]) == []
    (stored,) = double.stored.values()
    assert "@metadata" not in stored
    assert stored["tidegate"]["misfits"]["@metadata"] == {"docid": "another", "reason": "none"}
    assert stored["tidegate"].get("rows") == (1 if more else None)
    assert "@metadata" in given, "what was given is left as it is"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (5, ["5"]),
        (True, ["true"]),
        (["a", 5, None, ["b", 1.5]], ["a", "5", "b", "1.5"]),
        ("a", "a"),
        (["a", "b"], ["a", "b"]),
        ([], []),
        (None, None),
    ],
)
def test_tags_are_sent_as_text_and_are_found_as_in_the_stores(
    sink: LogstashSink, double: LogstashDouble, given: object, sent: object
) -> None:
    # The types that Logstash leaves as they are: elastic/logstash 9.2, Event.java, isLegalTagValue.
    tagged = {**event("hello"), "tags": given}
    assert sink.append([tagged]) == []
    (stored,) = double.stored.values()
    assert stored["tags"] == sent
    assert project(stored).get("tags") == project(tagged).get("tags")


@pytest.mark.parametrize("status", [429, 500, 503, 403, 404, 302, 202])
def test_every_other_response_leads_to_a_retry(
    sink: LogstashSink, double: LogstashDouble, status: int
) -> None:
    double.status = status
    with pytest.raises(StoreUnavailableError, match=rf"^{double.url}: {status}"):
        sink.append([event("hello")])
    assert double.requests == 1, "the back-off is the caller's"
    double.status = 0
    assert sink.append([event("hello")]) == []


def test_an_unreachable_logstash_is_unavailable(sink: LogstashSink, double: LogstashDouble) -> None:
    assert sink.append([event("hello")]) == []
    double.stop()
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        sink.append([event("hello")])
    double.start()
    assert sink.append([event("hello")]) == []


def test_events_without_a_response_are_sent_again_and_stored_once(
    sink: LogstashSink, double: LogstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logstash, "RESPONSE_SECONDS", 0.1)
    double.silent = True
    events = [event("a"), event("b")]
    with (
        closing(LogstashSink(sink._settings)) as impatient,
        pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*timed out"),
    ):
        impatient.append(events)
    # The client has given up, possibly before the request was read.
    eventually(lambda: double.requests, "the request is read")
    double.speak()
    assert sink.append(events) == []
    assert set(double.seen.values()) == {2}
    assert list(double.stored.values()) == events


def test_too_large_a_body_is_halved_and_one_event_too_large_is_refused(
    sink: LogstashSink, double: LogstashDouble
) -> None:
    double.limit = 2000
    events = [event(str(number)) for number in range(7)]
    events[4] = event("x" * 3000)
    (refused,) = sink.append(events)
    assert refused.index == 4
    assert refused.reason.startswith("Logstash refused the event of 3")
    assert {one["message"] for one in double.stored.values()} == set("012356")


def test_a_wrong_password_names_its_setting_and_a_new_one_needs_no_restart(
    sink: LogstashSink, password_file: Path, double: LogstashDouble
) -> None:
    password_file.write_text("another")
    with pytest.raises(
        StoreUnavailableError,
        match=r"^collector.logstash.password_file: .* refused the password of user 'collector'",
    ):
        sink.append([event("hello")])
    password_file.write_text(PASSWORD)
    assert sink.append([event("hello")]) == []
    assert len(double.stored) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"password_file": None}, "collector.logstash.password_file is needed with a username"),
        ({"password_file": Path("/nowhere")}, "collector.logstash.password_file: .*No such file"),
        ({"ca_file": Path("/nowhere")}, "collector.logstash.ca_file: /nowhere does not exist"),
        ({"url": "http://no such host"}, "http://no such host cannot be reached"),
    ],
)
def test_a_bad_setting_is_named(settings: Logstash, change: dict[str, Any], message: str) -> None:
    with pytest.raises(StoreUnavailableError, match=message):
        LogstashSink(settings.model_copy(update=change)).append([event("hello")])


def test_the_setting_chooses_the_sink(tmp_path: Path, settings: Logstash) -> None:
    stack = {"data_dir": tmp_path}
    to_logstash = Settings(stack=stack, collector=Collector(sink="logstash", logstash=settings))
    with closing(open_sink(to_logstash, ignore)) as sink:
        assert isinstance(sink, LogstashSink)
    assert sink_name(to_logstash) == settings.url
    with closing(open_sink(Settings(stack=stack), ignore)) as store:
        assert isinstance(store, EmbeddedStore)
    assert sink_name(Settings(stack=stack)) == "the embedded store"
    elsewhere = Settings(stack=stack, store=Store(kind="elasticsearch"))
    assert sink_name(elsewhere) == "http://127.0.0.1:9200"


def test_the_collector_counts_deliveries_repairs_quarantined_lines_and_retries(
    harness: Harness, settings: Logstash, double: LogstashDouble
) -> None:
    harness.open_sink = lambda left_out: LogstashSink(settings, left_out=left_out)
    harness.write("plain")
    harness.writer.write(event("odd", tidegate={"model": "small", "work": "light"}))
    harness.writer.write({**event("never"), "data_stream": "text"})
    with closing(harness.collector()) as delivery:
        double.status = 429
        assert delivery.step().retry_seconds == pytest.approx(0.2)
        assert not harness.checkpoint.exists()
        assert (harness.metric("retried_total"), harness.metric("sink_up")) == (1, 0)
        double.status = 0
        until_done(delivery)
    apps = [one for one in double.stored.values() if one["event"]["dataset"] == "tidegate.app"]
    assert [one["message"] for one in apps] == ["plain", "odd"]
    assert apps[1]["tidegate"] == {
        "work": "light",
        "misfits": {"tidegate.model": "small"},
        "own_fields": {
            "names": ["tidegate", "tidegate.model"],
            "values": ["tidegate.model=ssmall"],
        },
    }
    assert harness.metric("quarantined_total") == 1
    assert harness.metric("delivered_total") == len(double.stored)
    assert (harness.metric("sink_up"), harness.metric("lag_bytes")) == (1, 0)


def test_without_a_username_no_authorization_is_sent(settings: Logstash) -> None:
    sink = LogstashSink(settings.model_copy(update={"username": "", "password_file": None}))
    with closing(sink), pytest.raises(StoreUnavailableError, match="401"):
        sink.append([event("hello")])


def test_a_batch_is_split_into_bodies_within_the_limit(
    sink: LogstashSink, double: LogstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logstash, "LOGSTASH_BYTES", 1000)
    assert sink.append([event(str(number)) for number in range(9)] + [event("y" * 1500)]) == []
    assert len(double.stored) == 10
    assert max(double.sizes[:-1]) <= 1000
    assert double.sizes[-1] > 1500
