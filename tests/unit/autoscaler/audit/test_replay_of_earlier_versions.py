"""Decisions that were recorded by earlier versions replay with the parameters of their time."""

import json
from pathlib import Path

import pytest

from tidegate.autoscaler.audit.replay import replay
from tidegate.autoscaler.audit.replay_command import replay_command
from tidegate.settings import Settings

# A spike, recorded before there were peakedness, strain and hold.
RECORDED = Path(__file__).parent / "data" / "sloq_before_dispersion.jsonl"


def test_the_number_and_the_reason_are_as_recorded() -> None:
    events = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    for event in events:
        decision = event["tidegate"]["decision"]
        again = replay(event)
        assert (again.desired, again.reason) == (decision["desired"], decision["reason"])
    assert {event["tidegate"]["decision"]["reason"] for event in events} >= {"up", "down", "hold"}


def test_the_command_compares_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_command(Settings(), str(RECORDED), policy="", as_json=False) == 0
    assert "20 decisions" in capsys.readouterr().out


def test_another_number_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = RECORDED.read_text(encoding="utf-8").splitlines()
    event = json.loads(lines[0])
    event["tidegate"]["decision"]["desired"] += 1
    changed = tmp_path / "changed.jsonl"
    changed.write_text(json.dumps(event) + "\n", encoding="utf-8")
    assert replay_command(Settings(), str(changed), policy="", as_json=False) == 1
    assert "desired: recorded" in capsys.readouterr().out
