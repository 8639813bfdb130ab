"""`tidegate demo-drift` ends with 1, and with the stack down, when something is not as it should be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.drift.replay import run
from tidegate.drift.replay.months import Month
from tidegate.drift.replay.sending import ReplayError
from tidegate.drift.report.findings import Model
from tidegate.settings import Settings

from .conftest import FEATURES


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, model: Model, sent: list[Month]) -> list[str]:
    """The commands that were run; none of them does anything."""
    commands: list[str] = []

    def command(name: str, *_: str) -> int:
        commands.append(name)
        return 0

    monkeypatch.setattr(run, "_run", command)
    monkeypatch.setattr(run, "read_model", lambda _: model)
    monkeypatch.setattr(run, "read_flights", lambda: None)
    manifest = SimpleNamespace(features=FEATURES)
    monkeypatch.setattr(run, "load", lambda _: SimpleNamespace(manifest=manifest))
    monkeypatch.setattr(run, "months", lambda *_, **__: sent)
    return commands


def demo(tmp_path: Path) -> int:
    settings = Settings(stack={"data_dir": tmp_path})
    return run.demo_drift(settings, count=1, rows=1500, seconds=1, out=tmp_path / "report.html")


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
    def command(name: str, *_: str) -> int:
        ran.append(name)
        return int(name == failing)

    monkeypatch.setattr(run, "_run", command)
    assert demo(tmp_path) == 1
    assert ran == expected
