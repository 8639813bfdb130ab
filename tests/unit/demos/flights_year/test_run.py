"""`tidegate demo-drift` ends with 1, and with the stack down, when something is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from support.flights_replay import FEATURES
from tidegate.demos.flights_year import run
from tidegate.demos.flights_year.data_folder import FOLDER
from tidegate.demos.flights_year.periods import ReplayPeriod
from tidegate.demos.flights_year.replay import ReplayError
from tidegate.drift.report.findings import Model
from tidegate.events.event import Origin, make_event
from tidegate.settings import Settings
from tidegate.store.base import SearchRequest
from tidegate.store.embedded.store import EmbeddedStore


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, model: Model, sent: list[ReplayPeriod]) -> list[str]:
    """The commands that were run; none of them does anything."""
    commands: list[str] = []

    def command(_: Mapping[str, str], name: str, *__: str) -> int:
        commands.append(name)
        return 0

    monkeypatch.setattr(run, "_run", command)
    monkeypatch.setattr(run, "read_model", lambda _: model)
    monkeypatch.setattr(run, "read_flights", lambda: None)
    manifest = SimpleNamespace(features=FEATURES)
    monkeypatch.setattr(run, "load", lambda _: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(run, "replay_periods", lambda *_, **__: sent)
    return commands


def demo(tmp_path: Path) -> int:
    settings = Settings(stack={"data_dir": tmp_path})
    return run.demo_drift(settings, months=1, rows=1500, seconds=1, out=tmp_path / "report.html")


async def fails(*_: Any) -> None:
    raise ReplayError("the service answers 503")


def test_a_replay_that_cannot_go_on_says_why_and_stops_the_stack(
    ran: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "replay", fails)
    assert demo(tmp_path) == 1
    assert "✗ the service answers 503" in capsys.readouterr().out
    assert ran == ["train", "up", "down"]


@pytest.mark.parametrize(("failing", "expected"), [("train", ["train"]), ("up", ["train", "up"])])
def test_it_does_not_begin_without_a_model_and_a_stack(
    ran: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
    expected: list[str],
) -> None:
    def command(_: Mapping[str, str], name: str, *__: str) -> int:
        ran.append(name)
        return int(name == failing)

    monkeypatch.setattr(run, "_run", command)
    assert demo(tmp_path) == 1
    assert ran == expected


def test_what_an_earlier_replay_left_is_gone_before_the_stack_starts_and_nothing_else(
    ran: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, left = tmp_path / FOLDER, ("prometheus/data/01ABC/chunks/000001", "logs/old.ndjson")
    seen: list[int] = []

    def command(environment: Mapping[str, str], name: str, *_: str) -> int:
        if name != "up":
            return 0
        assert environment["TIDEGATE_STACK__DATA_DIR"] == str(own)
        assert environment["TIDEGATE_STORE__KIND"] == "embedded"
        assert not any((own / file).exists() for file in left)
        # What the watcher reads at its start, and what a stack leaves: here, and in its usual place.
        for folder in (own, tmp_path):
            with closing(EmbeddedStore(folder / "store")) as store:
                seen.append(store.search(SearchRequest()).total)
                origin = Origin("flights", "1", "test", "flights-1", "default")
                store.append([make_event(origin, "outcome", "a label arrived", unix_ns=1)])
            for file in (folder / one for one in left):
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text("samples of March")
        return 0

    monkeypatch.setattr(run, "_run", command)
    monkeypatch.setattr(run, "replay", fails)
    for _ in range(3):
        demo(tmp_path)
    assert seen == [0, 0, 0, 1, 0, 2]
    assert all((tmp_path / file).exists() for file in left)
