"""Searches beyond the query: times, order, streams, and aggregations."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from support.harnesses.store_scene import Scene
from tidegate.store.base import (
    Bucket,
    DateHistogram,
    QueryError,
    SearchResult,
    Terms,
)


def test_since_is_inclusive_and_until_exclusive(scene: Scene) -> None:
    scene.store.append([scene.event(str(number), seconds=number) for number in range(4)])
    since, until = (scene.start + timedelta(seconds=number) for number in (1, 3))
    assert scene.found("", since=since, until=until) == ["1", "2"]
    assert scene.found("", since=since) == ["1", "2", "3"]
    assert scene.search(until=until, since=None, query="message:2").total >= 1


def test_a_time_without_a_time_zone_is_utc(scene: Scene) -> None:
    scene.store.append([scene.event("1", seconds=1)])
    naive = scene.start.replace(tzinfo=None)
    assert scene.found("", since=naive, until=naive + timedelta(seconds=2)) == ["1"]


def test_hits_are_sorted_in_both_orders_and_the_total_exceeds_the_size(scene: Scene) -> None:
    order = [3, 0, 2, 1]
    scene.store.append([scene.event(str(number), seconds=number) for number in order])
    newest = scene.search(size=3)
    assert [hit["message"] for hit in newest.hits] == ["3", "2", "1"]
    oldest = scene.search(size=3, order="asc")
    assert [hit["message"] for hit in oldest.hits] == ["0", "1", "2"]
    assert newest.total == oldest.total == 4
    assert scene.search(size=0) == SearchResult(4, [], {})


def test_hits_of_one_millisecond_are_in_the_order_of_their_microseconds(scene: Scene) -> None:
    order = [3, 0, 2, 1]
    scene.store.append([scene.event(str(number), seconds=number * 1e-4) for number in order])
    assert scene.found("") == ["0", "1", "2", "3"]
    assert [hit["message"] for hit in scene.search().hits] == ["3", "2", "1", "0"]


def test_a_stream_can_be_chosen(sample: Scene) -> None:
    assert [message[0] for message in sample.found("", stream="traces")] == ["d"]
    assert [message[0] for message in sample.found("", stream="logs")] == ["a", "b", "c", "e"]


def test_terms_are_sorted_by_count(sample: Scene) -> None:
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
    assert all(isinstance(bucket.key, bool) for bucket in kept)


def test_aggregations_cover_the_matching_events(sample: Scene) -> None:
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


def test_aggregations_over_no_events_are_empty(scene: Scene) -> None:
    found = scene.search(
        aggregations={
            "terms": Terms("log.level"),
            "time": DateHistogram(timedelta(seconds=1)),
        }
    )
    assert found == SearchResult(0, [], {"terms": [], "time": []})


@pytest.mark.parametrize(
    "wanted",
    [
        {"aggregations": {"x": Terms("message")}},
        {"aggregations": {"x": Terms("log.level", size=0)}},
        {"aggregations": {"x": DateHistogram(timedelta(0))}},
        {"aggregations": {"x": DateHistogram(timedelta(microseconds=1500))}},
        {"size": -1},
        {"size": 10_001},
    ],
)
def test_an_invalid_search_is_refused_with_a_message(sample: Scene, wanted: dict[str, Any]) -> None:
    with pytest.raises(QueryError, match=r"x: |0 to 10000"):
        sample.search(**wanted)


def test_too_many_intervals_are_an_error(scene: Scene) -> None:
    scene.store.append([scene.event(), scene.event(seconds=3600)])
    with pytest.raises(QueryError, match=r"(?i)bucket"):
        scene.search(aggregations={"time": DateHistogram(timedelta(milliseconds=1))})
