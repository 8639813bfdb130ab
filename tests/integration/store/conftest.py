"""The contract tests of a store, for the embedded store and a real Elasticsearch."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from support.harnesses.store_scene import ORIGIN, WINDOW, Scene
from tidegate.events.event import Event
from tidegate.settings import Settings, load
from tidegate.store import open_store
from tidegate.store.base import EventStore

DAYS = itertools.count(secrets.randbelow(200_000))


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("elasticsearch", marks=pytest.mark.integration)],
)
def settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    if request.param == "embedded":
        return load(stack={"data_dir": tmp_path_factory.mktemp("data")})
    url = request.getfixturevalue("elasticsearch_url")
    server = {"kind": "elasticsearch", "elasticsearch": {"url": url}}
    return load(store=server, service={"namespace": ORIGIN.namespace})


@pytest.fixture(scope="module")
def opened(settings: Settings) -> Iterator[EventStore]:
    with closing(open_store(settings)) as store:
        yield store


@pytest.fixture
def scene(settings: Settings, opened: EventStore) -> Scene:
    return _scene(settings, opened)


def _scene(settings: Settings, store: EventStore) -> Scene:
    return Scene(settings, store, datetime(1990, 1, 1, tzinfo=UTC) + next(DAYS) * WINDOW)


# Each event has a letter, so the result of a query is a word.
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


@pytest.fixture(scope="module")
def sample(settings: Settings, opened: EventStore) -> Scene:
    scene = _scene(settings, opened)
    assert scene.store.append(_sample(scene)) == []
    return scene
