"""Outcomes are read from the store in order, and each change of the error rate is reported once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support.harnesses.event_files import MemoryLog
from tidegate.events.event import Event, Origin, make_event
from tidegate.monitoring.concept import run
from tidegate.monitoring.concept.watch import Watcher, WatcherMetrics
from tidegate.monitoring.feedback.recent_ids import RecentIds
from tidegate.settings import Drift, load
from tidegate.store.base import QueryError, SearchRequest, SearchResult, StoreUnavailableError
from tidegate.store.embedded.store import EmbeddedStore

ORIGIN = Origin("flights", "1", "test", "flights-1", "default")
OF = {"model": "m", "version": "1"}
NOW = datetime.now(UTC)


def outcome(
    number: int, *, correct: bool, version: str = "1", accuracy: float | None = 0.9
) -> Event:
    at_ns = int((NOW.timestamp() - 2000 + number) * 1e9)
    own = {
        "model": {"name": "m", "version": version},
        "outcome": {"correct": correct, "accuracy": accuracy},
    }
    name, fields = f"{number:032x}", {"tidegate": own}
    return make_event(
        ORIGIN, "outcome", "a label arrived", unix_ns=at_ns, event_id=name, fields=fields
    )


def outcomes(make: Callable[..., Event] = outcome, **of: Any) -> Iterator[Event]:
    """500 labels of which every tenth is wrong, then 500 of which every third is wrong."""
    for number in range(1000):
        yield make(number, correct=bool(number % (10 if number < 500 else 3)), **of)


def watcher() -> Watcher:
    return Watcher(Drift(), WatcherMetrics())


def test_a_change_is_found_by_both_detectors() -> None:
    watched = watcher()
    found = list(watched.feed(outcomes()))
    assert {each.detector for each in found} == {"adwin", "z"}
    value = watched.metrics.registry.get_sample_value
    assert value("tidegate_watch_outcomes_total", OF) == 1000
    for detector in ("adwin", "z"):
        number = len([each for each in found if each.detector == detector])
        assert value("tidegate_watch_changes_total", {**OF, "detector": detector}) == number
        rate = value("tidegate_watch_error_ratio", {**OF, "detector": detector})
        assert rate == pytest.approx(1 / 3, abs=0.05)
    assert (value("tidegate_watch_error_z", OF) or 0) > 10
    newest = max(each.shown_by.at_us for each in found if each.detector == "z")
    changed_at = value("tidegate_watch_change_timestamp_seconds", {**OF, "detector": "z"})
    assert changed_at == newest / 1e6
    first = next(each for each in found if each.detector == "z")
    assert 500 < first.labels < 700
    fields = first.fields()["tidegate"]
    assert fields["model"] == {"name": "m", "version": "1"}
    assert fields["drift"]["error_before"] == 0.1
    assert first.message.startswith("the error rate of m 1 changed from 10.0 % to 1")


def test_the_same_outcomes_give_the_same_event_ids() -> None:
    first, again = (list(watcher().feed(outcomes())) for _ in range(2))
    assert first == again
    assert len({each.event_id for each in first}) == len(first)


def test_a_label_that_is_twice_in_the_store_is_fed_once() -> None:
    once, twice = watcher(), watcher()
    found = list(once.feed(outcomes()))
    # Hours later, on another replica: the same id, in another backing index of Elasticsearch.
    assert [*twice.feed(outcomes()), *twice.feed(outcomes())] == found
    assert twice.metrics.registry.get_sample_value("tidegate_watch_outcomes_total", OF) == 1000


def test_only_the_most_recent_ids_are_remembered() -> None:
    recent_ids = RecentIds(max_ids=2)
    added = [recent_ids.add(name) for name in ("a", "b", "a", "c", "b", "a")]
    assert added == [True, True, False, True, False, True]


@pytest.mark.parametrize("accuracy", [None, "0.9", 7.0])
def test_without_a_known_accuracy_there_is_only_adwin(accuracy: Any) -> None:
    found = watcher().feed(outcomes(accuracy=accuracy))
    assert {each.detector for each in found} == {"adwin"}


def value_outcome(number: int, *, correct: bool) -> Event:
    """An outcome of a regressor."""
    event = outcome(number, correct=True)
    values = {"predicted_value": 1.0, "actual_value": 2.0, "residual": 1.0, "half_width": 0.5}
    event["tidegate"]["outcome"] = {**values, "inside": correct, "coverage": 0.9}
    return event


def test_an_error_of_a_regressor_is_a_value_outside_the_interval() -> None:
    changes = list(watcher().feed(outcomes(value_outcome)))
    classes = list(watcher().feed(outcomes()))
    assert {each.detector for each in changes} == {"z", "adwin"}
    assert [each.change for each in changes] == [each.change for each in classes]
    assert changes[0].message.startswith("the share of true values outside the interval of m 1 ")


def test_labels_without_an_interval_are_not_read() -> None:
    events = [value_outcome(n, correct=True) for n in range(3)]
    for event in events[:2]:
        del event["tidegate"]["outcome"]["inside"]
    watched = watcher()
    assert list(watched.feed(events)) == []
    value = watched.metrics.registry.get_sample_value
    assert value("tidegate_watch_outcomes_total", {"model": "m", "version": "1"}) == 1


def test_the_z_test_begins_with_the_first_label_that_has_the_accuracy() -> None:
    watched = watcher()
    assert list(watched.feed([outcome(0, correct=True, accuracy=None)])) == []
    value = watched.metrics.registry.get_sample_value
    assert value("tidegate_watch_error_z", OF) is None
    # A replica does not know the accuracy of an older version.
    events = (
        outcome(n, correct=bool(n % 2), accuracy=0.9 if n == 1 else None) for n in range(1, 400)
    )
    assert "z" in {each.detector for each in watched.feed(events)}


def test_without_a_change_there_is_no_timestamp() -> None:
    watched = watcher()
    assert list(watched.feed([outcome(0, correct=True)])) == []
    value = watched.metrics.registry.get_sample_value
    for detector in ("adwin", "z"):
        of = {**OF, "detector": detector}
        assert value("tidegate_watch_changes_total", of) == 0
        assert value("tidegate_watch_change_timestamp_seconds", of) is None


def test_versions_have_separate_detectors() -> None:
    watched = watcher()
    mixed = (
        outcome(2 * number + wrong, correct=not wrong, version=str(wrong))
        for number in range(500)
        for wrong in (0, 1)
    )
    found = list(watched.feed(mixed))
    # Version 1 is wrong from its first label on.
    assert {each.shown_by.model for each in found} == {("m", "1")}


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"tidegate": None},
        {"tidegate": {"model": {"name": "m"}}},
        {"tidegate": {"outcome": "text"}},
        {"tidegate": {"outcome": {}}, "@timestamp": "yesterday"},
    ],
)
def test_other_events_are_skipped(event: dict[str, Any]) -> None:
    assert list(watcher().feed([event])) == []


class FlakyStore:
    """A store that fails the first two searches, and stops the watcher after the fourth."""

    def __init__(self, store: EmbeddedStore, stop: threading.Event, searches: int = 0) -> None:
        self.store, self.stop, self.searches = store, stop, searches

    def search(self, request: SearchRequest) -> SearchResult:
        self.searches += 1
        if self.searches == 1:
            raise StoreUnavailableError("not ready")
        if self.searches == 2:
            raise QueryError("a segment is missing")
        if self.searches > 4:
            self.stop.set()
        return self.store.search(request)

    def append(self, events: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def test_reading_continues_after_the_store_was_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "POLL_SECONDS", 0.001)
    stop, written, watched = threading.Event(), MemoryLog("watch"), watcher()
    with closing(EmbeddedStore(tmp_path)) as store:
        # The same events twice, as two replicas may write them: the store has each once.
        store.append([*outcomes()])
        store.append([*outcomes()])
        run.watch(FlakyStore(store, stop), watched, written.log, stop)
    assert watched.metrics.registry.get_sample_value("tidegate_watch_outcomes_total", OF) == 1000
    events = written.events()
    changes = [one for one in events if one["event"]["dataset"] == "tidegate.drift"]
    assert {one["tidegate"]["drift"]["detector"] for one in changes} == {"adwin", "z"}
    assert {one["event"]["action"] for one in changes} == {"change"}
    assert {one["event"]["id"] for one in changes} == {
        each.event_id for each in watcher().feed(outcomes())
    }
    assert {one["log"]["level"] for one in changes} == {"warn"}
    assert all(datetime.fromisoformat(one["@timestamp"]) < NOW for one in changes)
    others = [one["message"] for one in events if one not in changes]
    assert others == ["the store is unavailable: not ready", "the store is available again"]


def test_a_label_from_the_future_does_not_stop_the_watcher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "POLL_SECONDS", 0.001)
    store = EmbeddedStore(tmp_path)
    store.append([{**outcome(1, correct=True), "@timestamp": "2099-12-31T00:00:00Z"}])
    store.append([outcome(2000, correct=True)])
    stop, watched = threading.Event(), watcher()

    def search(request: SearchRequest) -> SearchResult:
        found = EmbeddedStore.search(store, request)
        requests.append(request)
        if len(requests) == 1:
            store.append([outcome(1999, correct=True)])
        elif len(requests) > 2:
            stop.set()
        return found

    requests: list[SearchRequest] = []
    monkeypatch.setattr(store, "search", search)
    run.watch(store, watched, MemoryLog("watch").log, stop)
    store.close()
    assert watched.metrics.registry.get_sample_value("tidegate_watch_outcomes_total", OF) == 3


def test_a_stop_does_not_wait_for_all_labels(tmp_path: Path) -> None:
    stop, watched = threading.Event(), watcher()
    event_log = MemoryLog("watch", listeners=[lambda _: stop.set()]).log
    with closing(EmbeddedStore(tmp_path)) as store:
        store.append([*outcomes()])
        run.watch(FlakyStore(store, stop, searches=2), watched, event_log, stop)
    read = watched.metrics.registry.get_sample_value("tidegate_watch_outcomes_total", OF)
    assert 500 < (read or 0) < 1000  # until the first change is logged


def test_a_taken_port_names_its_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = load(stack={"data_dir": tmp_path}, drift={"watch_port": port})
        assert run.run(settings) == 2
    assert f"drift.watch_port: port {port} is taken" in capsys.readouterr().err
