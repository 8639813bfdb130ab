"""`tidegate demo-drift` returns 1 and stops the stack if the replay fails."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.samples.flights_replay import FEATURES
from tidegate.demos.flights_year import run
from tidegate.demos.flights_year.data_folder import FOLDER
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay import ReplayError
from tidegate.events.event import Origin, make_event
from tidegate.monitoring.tasks.model import Model
from tidegate.settings import Settings
from tidegate.store.base import SearchRequest
from tidegate.store.embedded.store import EmbeddedStore


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, model: Model, sent: list[ReplayPeriod]) -> list[str]:
    """The names of the commands that were run; each is replaced by a double."""
    run_commands: list[str] = []

    def command(_: Mapping[str, str], __: str, name: str, *___: str) -> int:
        run_commands.append(name)
        return 0

    monkeypatch.setattr(run, "run_module", command)
    monkeypatch.setattr(run, "read_model", lambda _: model)
    monkeypatch.setattr(run, "read_flights", lambda: None)
    manifest = SimpleNamespace(features=FEATURES)
    monkeypatch.setattr(run, "load", lambda _: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(run, "replay_periods", lambda *_, **__: sent)
    return run_commands


def demo(tmp_path: Path) -> int:
    settings = Settings(stack={"data_dir": tmp_path})
    return run.demo_drift(settings, months=1, rows=1500, seconds=1, out=tmp_path / "report.html")


async def fails(*_: Any) -> None:
    raise ReplayError("the service responded with status 503")


def test_a_failed_replay_prints_the_error_and_stops_the_stack(
    commands: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "replay", fails)
    assert demo(tmp_path) == 1
    assert "✗ the service responded with status 503" in capsys.readouterr().out
    assert commands == ["train", "up", "down"]


@pytest.mark.parametrize(("failing", "expected"), [("train", ["train"]), ("up", ["train", "up"])])
def test_without_a_model_or_a_stack_nothing_is_sent(
    commands: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    expected: list[str],
) -> None:
    def command(_: Mapping[str, str], __: str, name: str, *___: str) -> int:
        commands.append(name)
        return int(name == failing)

    monkeypatch.setattr(run, "run_module", command)
    assert demo(tmp_path) == 1
    assert commands == expected


def test_only_the_data_of_an_earlier_replay_is_deleted_before_the_stack_starts(
    commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = tmp_path / FOLDER, ("prometheus/data/01ABC/chunks/000001", "logs/old.ndjson")
    seen: list[int] = []

    def command(environment: Mapping[str, str], _: str, name: str, *__: str) -> int:
        if name != "up":
            return 0
        assert environment["TIDEGATE_STACK__DATA_DIR"] == str(folder)
        assert environment["TIDEGATE_STORE__KIND"] == "embedded"
        assert not any((folder / file).exists() for file in files)
        # Labels that a watcher would read, and files of a stack: here and in the default folder.
        for data_folder in (folder, tmp_path):
            with closing(EmbeddedStore(data_folder / "store")) as store:
                seen.append(store.search(SearchRequest()).total)
                origin = Origin("flights", "1", "test", "flights-1", "default")
                store.append([make_event(origin, "outcome", "a label arrived", unix_ns=1)])
            for file in (data_folder / name for name in files):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("samples of March")
        return 0

    monkeypatch.setattr(run, "run_module", command)
    monkeypatch.setattr(run, "replay", fails)
    for _ in range(3):
        demo(tmp_path)
    assert seen == [0, 0, 0, 1, 0, 2]
    assert all((tmp_path / file).exists() for file in files)
