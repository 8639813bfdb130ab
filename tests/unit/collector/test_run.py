"""The collector's process, and the delivery before a search, over a real embedded store."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from support.harnesses.collector_harness import ORIGIN
from support.ports import free_port
from tidegate.collector.delivery import Step
from tidegate.collector.run import NOT_ALL_DELIVERED, deliver_now, pause_seconds, run
from tidegate.events.event import make_event
from tidegate.events.writer import EventWriter
from tidegate.runtime.locks import exclusive_lock
from tidegate.settings import Settings, load
from tidegate.store.base import SearchRequest
from tidegate.store.embedded import folder as layout
from tidegate.store.embedded.folder import Layout
from tidegate.store.embedded.store import EmbeddedReader, EmbeddedStore

EVENTS = 5


@pytest.fixture(autouse=True)
def _usual_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.umask(0o022)
    # For good; tests/integration/test_collector.py looks at a process of its own.
    monkeypatch.setattr("tidegate.collector.run._run_after_requests", lambda: None)
    yield
    os.umask(before)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Small batches."""
    collector = {"metrics_port": free_port(), "batch_events": 2}
    return load(stack={"data_dir": tmp_path / "data"}, collector=collector)


@pytest.fixture
def write(settings: Settings) -> Iterator[Callable[[], None]]:
    """Writes the events and the begin of a line; the writer is open until the test ends."""
    with ExitStack() as stack:

        def write_events() -> None:
            writer = stack.enter_context(closing(EventWriter(settings.log_dir, "flights-1")))
            for number in range(EVENTS):
                writer.write(make_event(ORIGIN, "app", str(number), unix_ns=time.time_ns()))
            writer.write_line(b'{"@timestamp":"2026')

        yield write_events


def stored(settings: Settings) -> set[str]:
    found = EmbeddedReader(settings.stack.data_dir / "store").search(
        SearchRequest("event.dataset:tidegate.app")
    )
    return {hit["message"] for hit in found.hits}


def until_stopped(_: str, main: Callable[[threading.Event], int]) -> int:
    stop = threading.Event()
    stop.set()
    return main(stop)


def test_a_collector_that_is_stopped_delivers_the_rest_into_files_of_its_owner_alone(
    settings: Settings, write: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.collector.run.run_daemon", until_stopped)
    write()
    assert run(settings) == 0
    assert len(stored(settings)) == EVENTS
    store = settings.stack.data_dir / "store"
    modes = {path.name: path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file()}
    assert modes == dict.fromkeys(modes, 0o600)


def test_a_start_removes_what_killed_writes_of_the_checkpoint_have_left(
    settings: Settings, write: Callable[[], None]
) -> None:
    folder = settings.stack.data_dir / "collector"
    folder.mkdir(parents=True)
    (folder / ".checkpoint.json.killed").write_text("{")
    write()
    assert deliver_now(settings)
    assert [path.name for path in folder.glob(".*")] == []


@pytest.mark.parametrize(
    ("step", "spent", "pause"),
    [
        (Step(more=True), 0.1, 0.0),
        (Step(retry_seconds=5.0), 0.1, 5.0),
        (Step(done=True), 0.1, 0.2),
        (Step(), 0.02, 0.76),  # small deliveries wait for further events
        (Step(), 0.25, 0.3),
        (Step(), 2.0, 0.2),
    ],
)
def test_a_delivery_waits_as_long_as_events_are_searchable_in_time(
    step: Step, spent: float, pause: float
) -> None:
    assert pause_seconds(step, spent, poll_seconds=0.2) == pytest.approx(pause)


def test_a_collector_that_is_stopped_does_not_rebuild_the_store(
    settings: Settings, write: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = settings.stack.data_dir / "store"
    with closing(EmbeddedStore(root)) as store:
        store.append([make_event(ORIGIN, "app", "old", unix_ns=time.time_ns())])
    current = layout.read(root)
    assert current
    layout.write(root, Layout("of another version", current.folder))
    write()
    collector = settings.collector.model_copy(update={"last_pass_seconds": 0.1})
    stopped = settings.model_copy(update={"collector": collector})
    monkeypatch.setattr("tidegate.collector.run.run_daemon", until_stopped)
    assert run(stopped) == NOT_ALL_DELIVERED
    assert layout.read(root) == Layout("of another version", current.folder)
    monkeypatch.setattr("tidegate.collector.run.SEARCH_SECONDS", 60.0)  # on a machine under load
    deliver_now(settings)
    assert len(stored(settings)) == EVENTS + 1


def test_a_search_says_why_it_cannot_deliver_the_newest_events(
    settings: Settings, write: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    folder = settings.stack.data_dir / "collector"
    folder.write_text("in the way")
    assert not deliver_now(settings)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("the newest events are not delivered: stack.data_dir: ")
    folder.unlink()
    folder.mkdir()
    with exclusive_lock(folder / "lock", 0.0):
        assert deliver_now(settings)
    assert capsys.readouterr().err == "", "a collector delivers them"
    assert deliver_now(settings)
    shutil.rmtree(settings.stack.data_dir / "store")
    deliver_now(settings)
    assert len(stored(settings)) == EVENTS, "although nothing new was written"


def test_a_search_without_a_collector_finds_the_newest_events(
    settings: Settings, write: Callable[[], None]
) -> None:
    deliver_now(settings)
    assert not settings.stack.data_dir.exists(), "there is nothing to deliver"
    write()
    deliver_now(settings)
    assert len(stored(settings)) == EVENTS
