"""The collector's process over a real embedded store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.ports import free_port
from tidegate.collector.run import run
from tidegate.events.writer import EventWriter
from tidegate.settings import load


@pytest.fixture
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_usual_umask")
def test_only_the_owner_may_read_the_store_that_it_fills(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def until_stopped(_: str, main: Callable[[threading.Event], int]) -> int:
        stop = threading.Event()
        stop.set()
        return main(stop)

    monkeypatch.setattr("tidegate.collector.run.run_daemon", until_stopped)
    settings = load(stack={"data_dir": tmp_path}, collector={"metrics_port": free_port()})
    writer = EventWriter(settings.log_dir, "flights-1")
    writer.write_line(b'{"@timestamp":"2026-03-01T00:00:00Z","event":{"id":"1"},"message":"x"}\n')
    writer.close()
    assert run(settings) == 0
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert files
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == {
        path.name: 0o600 for path in files
    }
