"""What a page of search results needs: events page by page, and completion of what is typed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from support.harnesses.store_scene import WINDOW, Scene
from support.store_refresh import refresh
from tidegate.store.base import SearchRequest
from tidegate.store.search.completion import completions as completions_between
from tidegate.store.search.pages import Cursor, cursor, events, page


def request(scene: Scene, size: int = 2) -> SearchRequest:
    refresh(scene.store)
    return SearchRequest(since=scene.start, until=scene.start + WINDOW, size=size)


def completions(scene: Scene, typed: str) -> list[str]:
    """Of the scene's events only: other tests write into the same Elasticsearch."""
    return completions_between(scene.store, typed, **scene.day())


# Many events of one microsecond, of one millisecond, and at the ends of a page.
TIMES = (0, 1, 1, 1, 1, 1, 1.0001, 1.0002, 1.0009, 2, 3, 3, 4, 5.0005, 5.0006, 6)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 16, 50])
def test_each_event_is_on_one_page_newest_first(scene: Scene, size: int) -> None:
    scene.store.append([scene.event(str(time), seconds=time) for time in TIMES])
    wanted, after = request(scene, size), None
    found, pages = [], 0
    while True:
        shown = page(scene.store, wanted, after)
        assert len(shown.events) <= size
        found += shown.events
        pages += 1
        if shown.next is None:
            break
        after = cursor(str(shown.next))
        assert after == shown.next
    assert len(found) == len({event["event"]["id"] for event in found}) == len(TIMES)
    milliseconds = [event["@timestamp"][:23] for event in found]
    assert milliseconds == sorted(milliseconds, reverse=True)
    assert list(events(scene.store, wanted, 1000)) == found
    assert list(events(scene.store, wanted, 7)) == found[:7]


def test_events_that_arrive_meanwhile_shift_no_page(scene: Scene) -> None:
    scene.store.append([scene.event(str(number), seconds=number) for number in range(4)])
    first = page(scene.store, request(scene))
    scene.store.append([scene.event("late", seconds=9), scene.event("early", seconds=0.5)])
    second = page(scene.store, request(scene, 5), first.next)
    assert [event["message"] for event in first.events + second.events] == [
        *("3", "2", "1", "early", "0")
    ]


def test_a_page_begins_after_a_millisecond_without_an_event(scene: Scene) -> None:
    scene.store.append([scene.event(str(number), seconds=number) for number in range(3)])
    at = round((scene.start + timedelta(seconds=1)).timestamp() * 1000)
    shown = page(scene.store, replace(request(scene), until=None), Cursor(at + 1, ""))
    assert [event["message"] for event in shown.events] == ["1", "0"]


def test_hits_can_be_sorted_by_a_number(sample: Scene) -> None:
    slowest = sample.search("event.duration:*", sort="event.duration").hits
    assert [hit["message"][0] for hit in slowest] == ["b", "a"]
    everything = sample.search(sort="event.duration", order="asc").hits
    assert [hit["message"][0] for hit in everything[:2]] == ["a", "b"]
    assert len(everything) == 5


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("tidegate.work:", ["tidegate.work:heavy", "tidegate.work:light"]),
        ("a AND (tidegate.work:l", ["a AND (tidegate.work:light"]),
        ('tags:"Gr', ['tags:"Green Two"']),
        ("http.response.status_code:4", ["http.response.status_code:422"]),
        ("tidegate.kept:f", ["tidegate.kept:false"]),
        ("message:a", []),
        ("log.leve", ["log.level:"]),
        ("a -log.leve", ["a -log.level:"]),
        ('tags:"Green Two" AND tags:"Green T', ['tags:"Green Two" AND tags:"Green Two"']),
        ('tags:"open and ', []),
    ],
)
def test_names_and_values_are_completed(sample: Scene, typed: str, expected: list[str]) -> None:
    assert sorted(completions(sample, typed))[:2] == expected


def test_an_id_is_completed_however_many_begin_as_it_does(scene: Scene) -> None:
    ids = [f"f00d{number:028x}" for number in range(101)]
    scene.store.append([scene.event(trace={"id": one}) for one in ids])
    offered = completions(scene, "trace.id:f00d")
    assert len(offered) == 20
    assert {f"trace.id:{one}" for one in ids}.issuperset(offered)


def test_the_end_of_a_long_query_is_completed(sample: Scene) -> None:
    """The time to complete a word of 64,000 characters was minutes."""
    long = "a" * 64_000
    assert completions(sample, long) == []
    assert completions(sample, f"{long} log.leve") == [f"{long} log.level:"]


def test_the_names_and_values_of_own_fields_are_completed(scene: Scene) -> None:
    bought = {"shop city": "São Tomé", "price": 12.5, "gift": True}
    scene.store.append([scene.event(tidegate=bought)])

    def offered(typed: str) -> list[str]:
        return completions(scene, typed)

    assert offered("tidegate.sho") == ["tidegate.shop\\ city:"]
    assert offered("tidegate.pri") == ["tidegate.price:"]
    assert offered("tidegate.price:") == ["tidegate.price:12.5"]
    assert offered("tidegate.gift:t") == ["tidegate.gift:true"]
