"""A label delivered again after a rollover is stored twice in Elasticsearch, and counted once."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from elasticsearch import Elasticsearch

from support.store_refresh import refresh
from tidegate.events.event import Event, Origin, make_event
from tidegate.monitoring.concept.watch import QUERY, Watcher, WatcherMetrics
from tidegate.monitoring.counting.reference import Reference
from tidegate.monitoring.feedback.prediction_ids import PredictionIds
from tidegate.monitoring.feedback.retained_rows import row_events
from tidegate.monitoring.report.labelled_rows import read_labelled_rows
from tidegate.monitoring.retraining.run import read_rows
from tidegate.monitoring.tasks.classification import LabelTruth
from tidegate.monitoring.tasks.model import Model
from tidegate.monitoring.tasks.registry import make_task
from tidegate.settings import Drift
from tidegate.settings import Elasticsearch as ElasticsearchSettings
from tidegate.store.base import SearchRequest
from tidegate.store.elasticsearch.store import ElasticsearchStore
from tidegate.store.search.follower import Follower

pytestmark = pytest.mark.integration

REQUEST = ("a" * 32, "b" * 16)
SINCE = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def name() -> str:
    """Of a model of its own, of its version and of the namespace that its events lie in."""
    return uuid.uuid4().hex


CLASSES = ("late", "on_time")


@pytest.fixture
def store(elasticsearch_url: str) -> Iterator[ElasticsearchStore]:
    with closing(ElasticsearchStore(ElasticsearchSettings(url=elasticsearch_url))) as made:
        yield made


def label_event(
    name: str, ids: PredictionIds, prediction_id: str, *, at: datetime, node: str, actual: str
) -> Event:
    """The event of a label that a replica took."""
    prediction = ids.read(prediction_id)
    lag = at.timestamp() - prediction.at_us / 1e6
    truth = LabelTruth(name, CLASSES, accuracy=0.9)
    outcome = truth.outcome(prediction, actual, lag, served=True)
    return make_event(
        Origin("flights", "1", "test", node, name),
        "outcome",
        "a label arrived",
        unix_ns=int(at.timestamp() * 1e9),
        event_id=prediction.outcome_id,
        fields=outcome.fields(name),
    )


def test_a_label_in_two_backing_indices_is_counted_once_with_its_first_value(
    store: ElasticsearchStore, elasticsearch_url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Within a page a follower knows an id again by itself; there are many pages where labels are many.
    monkeypatch.setattr("tidegate.store.search.follower.PAGE", 1)
    ids = PredictionIds(b"a key of enough bytes", name, b"1234")
    answered, first, between, again = (
        SINCE + timedelta(minutes=minutes) for minutes in (1, 10, 20, 50)
    )
    at_ns = int(answered.timestamp() * 1e9)
    made = ids.make(at_ns // 1000, REQUEST, ["0"] * 2, [0.9, 0.9])
    ((sentence, fields),) = row_events(
        ["hour"], [[7], [8]], made, trace_id=REQUEST[0], model=name, version=name
    )
    origin = Origin("flights", "1", "test", "flights-1", name)
    store.append([make_event(origin, "rows", sentence, unix_ns=at_ns, fields=fields)])
    for row, at in enumerate((first, between)):
        label = label_event(name, ids, made[row], at=at, node="flights-1", actual="late")
        assert store.append([label]) == []
    refresh(store)
    watcher = Watcher(Drift(), WatcherMetrics())
    follower = Follower(store, f"{QUERY} AND data_stream.namespace:{name}", SINCE)
    list(watcher.feed(follower.events()))
    stream = f"logs-tidegate.outcome-{name}"
    with Elasticsearch(elasticsearch_url) as client:
        assert client.indices.rollover(alias=stream)["rolled_over"]
        resent = label_event(name, ids, made[0], at=again, node="flights-2", actual="on_time")
        assert store.append([resent]) == []
        client.indices.refresh(index=stream)
        hits = client.search(index=stream)["hits"]["hits"]
    # The store itself has it twice: one id, in two indices.
    same = [hit["_index"] for hit in hits if hit["_id"] == ids.read(made[0]).outcome_id]
    assert len(set(same)) == 2
    assert store.search(SearchRequest(follower.query)).total == 3

    model = Model(name, name, (), None, Reference(samples=0, features=()))
    task = make_task(model, Drift())
    assert read_labelled_rows(store, task, SINCE, []).actual.tolist() == ["late", "late"]
    found = read_rows(store, name, SINCE)
    assert (found.label_count, [row.label for row in found.labelled]) == (2, ["late", "late"])
    found_again = list(follower.events())  # it remembers ids for some seconds only
    assert len(found_again) == 1
    list(watcher.feed(found_again))
    of = {"model": name, "version": name}
    assert watcher.metrics.registry.get_sample_value("tidegate_watch_outcomes_total", of) == 2
