"""The commands `status` and `down` with a supervisor that does not respond."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.console import Console
from tidegate.settings import load
from tidegate.stack.data_folder import Layout
from tidegate.stack.terminal import commands
from tidegate.stack.terminal.status_command import status

Holder = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _no_stop_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "stop_seconds", lambda settings: 0.0)


def test_a_supervisor_that_does_not_answer_is_reported_with_its_pid(
    tmp_path: Path, holder: Holder, capsys: pytest.CaptureFixture[str]
) -> None:
    other = holder(tmp_path)
    settings = load(stack={"data_dir": tmp_path})
    assert status(settings, as_json=False) == 1
    assert f"the supervisor (pid {other.pid}) runs, but " in capsys.readouterr().out
    assert status(settings, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["state"], found["pid"]) == ("silent", other.pid)


def test_down_waits_until_the_supervisor_has_stopped(
    tmp_path: Path, holder: Holder, capsys: pytest.CaptureFixture[str]
) -> None:
    other = holder(tmp_path)
    assert commands.down(load(stack={"data_dir": tmp_path})) == 0
    assert capsys.readouterr().out.endswith("stopped\n")
    assert other.wait(10) != 0


def test_down_kills_a_supervisor_that_does_not_stop(
    tmp_path: Path,
    holder: Holder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "GRACE_SECONDS", 0.3)
    other = holder(tmp_path, ignore_sigterm=True)
    assert commands.down(load(stack={"data_dir": tmp_path})) == 1
    assert f"killed: the supervisor (pid {other.pid})" in capsys.readouterr().out
    assert other.wait(10) == -9


def test_a_model_file_that_cannot_be_converted_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "wine.joblib").write_text("hello")
    layout, out = Layout(tmp_path / "data"), io.StringIO()
    settings = load(model={"path": tmp_path / "wine.joblib"})
    problem = commands._import_problem(settings, layout, Console(file=out))
    assert problem.startswith(f"{tmp_path}/wine.joblib cannot be served: ")
    assert "converting" in out.getvalue()
    assert commands._import_problem(load(service={"app": "a:b"}), layout, Console(file=out)) == ""
