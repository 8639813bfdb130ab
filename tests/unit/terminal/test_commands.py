"""The commands `up`, `status` and `down` where a start is refused or a supervisor does not respond."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tidegate.runtime.check_results import Result, failed
from tidegate.settings import Settings, load
from tidegate.stack.data_folder import Layout
from tidegate.terminal import down_command, up_command
from tidegate.terminal.status_command import status
from tidegate.terminal_console import Console

Holder = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def _no_stop_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(down_command, "stop_seconds", lambda settings: 0.0)


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
    assert down_command.down(load(stack={"data_dir": tmp_path})) == 0
    assert capsys.readouterr().out.endswith("stopped\n")
    assert other.wait(10) != 0


def test_down_kills_a_supervisor_that_does_not_stop(
    tmp_path: Path,
    holder: Holder,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(down_command, "GRACE_SECONDS", 0.3)
    other = holder(tmp_path, ignore_sigterm=True)
    assert down_command.down(load(stack={"data_dir": tmp_path})) == 1
    assert f"killed: the supervisor (pid {other.pid})" in capsys.readouterr().out
    assert other.wait(10) == -9


@pytest.mark.parametrize(
    ("text", "stopped"),
    [
        ('[stack]\ndata_dir = "prod"\n[slo]\nlatency = 1\n', True),
        ('[stack]\ndatadir = "prod"\n', False),
        ('[stack]\ndata_dir = "prod\n', False),
    ],
)
def test_down_with_invalid_settings_stops_the_right_stack_or_none(
    tmp_path: Path, holder: Holder, text: str, *, stopped: bool
) -> None:
    (tmp_path / "tidegate.toml").write_text(text)
    default, named = holder(tmp_path / ".tidegate"), holder(tmp_path / "prod")
    command = [sys.executable, "-m", "tidegate", "down"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if stopped else 2), done.stderr
    assert ("the data folder of the stack is not known" in done.stderr) is not stopped
    assert default.poll() is None
    assert (named.poll() is not None) is stopped


def test_down_gives_the_replicas_the_time_with_which_the_stack_was_started(
    tmp_path: Path, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as started:
        started.setenv("TIDEGATE_CONFIG", str(tmp_path / "run" / "settings.toml"))
        started.setenv("TIDEGATE_REPLICAS__DRAIN_SECONDS", "77")
        holder(tmp_path)
    seen: list[float] = []

    def stop_seconds(settings: Settings) -> float:
        seen.append(settings.replicas.drain_seconds)
        return 0.0

    monkeypatch.setattr(down_command, "stop_seconds", stop_seconds)
    assert down_command.down(load(stack={"data_dir": tmp_path})) == 0
    assert seen == [77.0]


def test_a_warning_prevents_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tidegate.checks.start.free_bytes", lambda _: 2**30)
    folders = {"stack": {"data_dir": tmp_path / "data"}, "model": {"path": tmp_path / "no-model"}}
    assert up_command.up(load(**folders), detach=False, store=None) == 1
    problems = capsys.readouterr().err
    assert "no-model" in problems
    assert "GiB free" not in problems


def test_an_unknown_store_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert up_command.up(Settings(), detach=True, store="paper") == up_command.BAD_ARGUMENT
    assert "use embedded or elasticsearch" in capsys.readouterr().err


def test_the_option_for_the_store_leaves_its_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Settings] = []

    async def refuse(settings: Settings) -> list[Result]:
        checked.append(settings)
        return [failed("all", "refused")]

    monkeypatch.setattr(up_command, "start_checks", refuse)
    settings = load(stack={"data_dir": tmp_path}, store={"embedded": {"retention": "30d"}})
    for kind in ("embedded", "elasticsearch"):
        assert up_command.up(settings, detach=False, store=kind) == 1
        assert checked.pop().store == settings.store.model_copy(update={"kind": kind})


def test_a_detached_supervisor_that_dies_without_a_word_is_reported_with_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nos.write(2, b'no memory')\nos._exit(9)\n"
    )
    monkeypatch.setattr(up_command, "environment", lambda *_: {"PYTHONPATH": str(tmp_path)})
    layout, errors = Layout(tmp_path / "data"), io.StringIO()
    codes: list[int] = []

    def start() -> None:
        console = Console(file=errors, width=500)
        codes.append(up_command._detached(load(), layout, console, console))

    # In a thread, as it would wait forever if it kept its own end of the pipe open.
    starting = threading.Thread(target=start, daemon=True)
    starting.start()
    starting.join(30)
    assert codes == [1]
    assert "the supervisor exited: see " in errors.getvalue()
    assert "no memory" in errors.getvalue()
