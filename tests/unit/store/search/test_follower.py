"""A follower returns each event once, in pages, also late ones and those of the future."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from support.samples.recent_events import SECOND, event, now_ns
from tidegate.store.embedded.store import EmbeddedStore
from tidegate.store.search.follower import PAGE, Follower


def test_a_follower_reads_pages_and_returns_each_event_once(store: EmbeddedStore) -> None:
    start = datetime.fromtimestamp(now_ns() / SECOND - 3600, UTC)
    store.append([event(f"n {number}", ago=100 - number / 100) for number in range(2 * PAGE + 5)])
    # A full page of events with one timestamp.
    store.append([event("same", ago=50) for _ in range(PAGE)])
    follower = Follower(store, "", start)
    assert len(list(follower.events())) == 3 * PAGE + 5
    assert list(follower.events()) == []
    store.append([event("new", ago=52), event("too late", ago=79)])
    assert [found["message"] for found in follower.events()] == ["new"]


def test_events_in_the_future_do_not_hide_later_events_from_a_follower(
    store: EmbeddedStore,
) -> None:
    now = datetime.fromtimestamp(now_ns() / SECOND, UTC)
    clock = [now]
    far = {**event("of 2099"), "@timestamp": "2099-12-31T00:00:00Z"}

    def found(follower: Follower) -> list[Any]:
        return [one["message"] for one in follower.events()]

    store.append([event("before", ago=20), far])
    follower = Follower(store, "", now - timedelta(hours=1), clock=lambda: clock[0])
    assert found(follower) == ["before", "of 2099"], "the first look finds everything"
    store.append([event("now", ago=1), {**far, "event": {**far["event"], "id": "another"}}])
    store.append([event("a little ahead", ago=-9), event("ahead", ago=-60)])
    store.append([event("from a backlog", ago=25)])
    assert found(follower) == ["from a backlog", "now", "a little ahead"]
    assert found(follower) == [], "each once"
    store.append([event("late", ago=10), event("too late", ago=12)])
    assert found(follower) == ["late"], "what is late is found, whatever is ahead"
    clock[0] += timedelta(seconds=51)
    assert found(follower) == ["ahead"], "when its time has come"
