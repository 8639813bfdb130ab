"""`tidegate deploy` follows a rollout, and reports why there is none."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.samples.statuses import whole_status
from tidegate.runtime.event_log import Entry
from tidegate.settings import load
from tidegate.stack.replicas.release import Release, ReleaseRefusedError
from tidegate.stack.rollout.rolling_replacement import RolloutStatus
from tidegate.terminal import deploy_command

OLD, NEW = Release(path=Path("old")), Release(path=Path("/new"), name="flights", version="2")
RECENT = [
    Entry(at=2e10, level="info", component="rollout", action="deploy", message="it begins"),
    Entry(at=1.0, level="info", component="stack", action="ready", message="long ago"),
]
Holder = Callable[..., subprocess.Popen[str]]


@pytest.mark.parametrize(
    ("ending", "code"),
    [("done", 0), ("rolled back", deploy_command.FAILED), ("failed", deploy_command.FAILED)],
)
def test_the_deploy_command_follows_a_rollout_to_its_end(
    ending: Any,
    code: int,
    *,
    tmp_path: Path,
    holder: Holder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    holder(tmp_path)
    states = iter(["rolling", ending])
    monkeypatch.setattr(deploy_command, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(deploy_command, "request_deploy", lambda *_: NEW)
    monkeypatch.setattr(
        deploy_command,
        "fetch_status",
        lambda _: whole_status(
            recent=RECENT, rollout=RolloutStatus(state=next(states), before=OLD, release=NEW)
        ),
    )
    assert deploy_command.deploy(load(stack={"data_dir": tmp_path}), Path("x")) == code
    output = capsys.readouterr().out
    assert output.count("it begins") == 1
    assert "long ago" not in output
    assert ("this stack serves flights 2" in output) is (code == 0)


def test_the_deploy_command_reports_a_refusal_and_a_missing_stack(
    tmp_path: Path,
    holder: Holder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = load(stack={"data_dir": tmp_path})
    assert deploy_command.deploy(settings, Path("x")) == deploy_command.NOT_RUNNING
    assert "no stack runs" in capsys.readouterr().err
    holder(tmp_path)
    assert deploy_command.deploy(settings, Path("x")) == deploy_command.FAILED
    assert "does not answer" in capsys.readouterr().err

    def refuse(*_: Any) -> Release:
        raise ReleaseRefusedError("it lacks carrier")

    monkeypatch.setattr(deploy_command, "request_deploy", refuse)
    assert deploy_command.deploy(settings, Path("x")) == deploy_command.REFUSED
    assert "refused, nothing was changed: it lacks carrier" in capsys.readouterr().err
