"""`tidegate replay`: the same decisions, byte for byte, or those of another policy."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from support.harnesses.recorded_decisions import read
from tidegate.autoscaler.policy_builder import build_policy
from tidegate.autoscaler.policy_registry import POLICIES, PolicyContext
from tidegate.autoscaler.types import Bounds, Policy, Signals
from tidegate.cli import app
from tidegate.lab.replay.command import replay_command
from tidegate.lab.replay.decisions import RecordedDecision
from tidegate.lab.replay.what_if import STARTUP_SECONDS, startup_seconds, totals, what_if
from tidegate.settings import Settings

Recorded = Callable[..., list[dict[str, Any]]]
SETTINGS = Settings.model_validate({"slo": {"latency_seconds": 0.6}})
CONTEXT = PolicyContext(Bounds(1, 30), 0.6)


def always(words: str) -> Callable[[RecordedDecision], Policy]:
    policy = build_policy(words, CONTEXT).policy
    return lambda _: policy


def write(path: Path, events: list[dict[str, Any]]) -> str:
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return str(path)


@pytest.mark.parametrize(
    "words", [*POLICIES, "max(sloq,hpa:inflight=0.7)", "min(max(sloq,step),kpa)"]
)
def test_every_policy_replays(
    words: str, recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "decisions.ndjson", recorded(words))
    assert replay_command(SETTINGS, path, policy="", as_json=False) == 0
    assert capsys.readouterr().out == "120 decisions, each the same to the byte\n"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"desired": 99}, "desired: recorded 99, "),
        ({"reason": "luck"}, 'reason: recorded "luck", '),
        ({"slots": 7}, "slots: recorded 7, replayed null"),
    ],
)
def test_the_first_difference_is_named(
    change: dict[str, Any],
    says: str,
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = recorded(ticks=9)
    for event in events[4:]:
        event["tidegate"]["decision"].update(change)
    path = write(tmp_path / "decisions.ndjson", events)
    assert replay_command(SETTINGS, path, policy="", as_json=False) == 1
    messages = capsys.readouterr().out
    assert messages.startswith(f"{path}:5: 2026-03-02T08:")
    assert says in messages


def test_a_difference_in_the_last_bit_of_an_input_is_one(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = recorded(ticks=3)
    inputs = events[1]["tidegate"]["decision"]["inputs"]
    inputs["load"] += 2**-50
    path = write(tmp_path / "decisions.ndjson", events)
    assert replay_command(SETTINGS, path, policy="", as_json=True) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (
        printed["decisions"],
        printed["same"],
        printed["first"]["line"],
    ) == (3, False, 2)
    assert printed["first"]["difference"].startswith("inputs.load: ")


def test_invalid_lines_are_reported_and_skipped_like_other_events(
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good = recorded(ticks=1)[0]
    broken = deepcopy(good)
    del broken["tidegate"]["decision"]["signals"]["ready"]
    lines = [
        b"{",
        b"7",
        b" \r",
        b'{"event": {"dataset": "tidegate.app"}}',
        orjson.dumps(broken),
        orjson.dumps(good),
    ]
    stdin = io.TextIOWrapper(io.BytesIO(b"\n".join(lines)))
    monkeypatch.setattr("sys.stdin", stdin)
    assert replay_command(SETTINGS, "-", policy="", as_json=False) == 0
    messages = capsys.readouterr()
    assert messages.out == "1 decisions, each the same to the byte\n"
    assert messages.err.splitlines() == [
        "replay: stdin:1 not an event: skipped",
        "replay: stdin:2 not an event: skipped",
        (
            "replay: stdin:5 not a decision that can be replayed: unknown or missing signals ready; was it"
            " recorded by another version?: skipped"
        ),
    ]


@pytest.mark.parametrize(
    ("content", "policy", "says"),
    [
        (b"", "", "has no decision"),
        (b"GOOD", "guess", "unknown policy 'guess'"),
        (b"ORACLE", "", "line 1: unknown policy 'oracle'"),
    ],
)
def test_invalid_input_is_reported(  # noqa: PLR0917 - cases and fixtures
    content: bytes,
    policy: str,
    says: str,
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "some.ndjson"
    event = recorded(ticks=1)[0]
    if content == b"ORACLE":
        event["tidegate"]["decision"]["policy"] = "oracle"
    path.write_bytes(orjson.dumps(event) if content else b"")
    assert replay_command(SETTINGS, str(path), policy=policy, as_json=False) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("replay: ")
    assert says in printed.err


def test_another_policy_decides_on_the_recorded_traffic(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "decisions.ndjson", recorded())
    result = CliRunner().invoke(app, ["replay", path, "--policy", "step", "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert (printed["policy"], len(printed["ticks"])) == ("step", 120)
    # One more a minute at most: it lags behind what the spike needs.
    assert printed["other"]["replica_seconds"] < printed["actual"]["replica_seconds"]
    steps = [tick["other"] for tick in printed["ticks"]]
    assert max(abs(b - a) for a, b in pairwise(steps)) == 1
    assert replay_command(SETTINGS, path, policy="hpa:inflight=0.7", as_json=False) == 0
    metrics_text = capsys.readouterr().out
    assert "hpa:inflight=0.7: " in metrics_text
    assert "replica-seconds" in metrics_text


def test_the_same_policy_from_the_same_start_decides_nearly_the_same(
    recorded: Recorded,
) -> None:
    # It begins without what the recorded one had learned: how long a replica takes to start.
    rows = what_if(read(recorded()), always("sloq:startup_seconds=10"), 5.0)
    actual, other = totals(rows)
    assert other.replica_seconds == pytest.approx(actual.replica_seconds, rel=0.15)
    assert rows[0].previous == rows[0].actual.signals.desired


def test_a_restart_resets_the_policy_and_the_gap_counts_for_neither(recorded: Recorded) -> None:
    events = recorded(ticks=20)
    again = deepcopy(events[:10])
    again[0]["tidegate"]["decision"]["state"] = {}
    rows = what_if(read([*events[:10], *again]), always("hpa"), 5.0)
    assert [row.seconds for row in rows] == [*[5.0] * 9, 0.0] * 2
    assert rows[10].previous == rows[10].actual.signals.desired


def test_start_up_times_are_the_measured_ones(recorded: Recorded) -> None:
    assert startup_seconds(read(recorded())) == pytest.approx(12.0, abs=5.0)
    assert startup_seconds([]) == STARTUP_SECONDS


def test_replicas_of_the_other_policy_take_time_to_start_and_share_the_load(
    recorded: Recorded,
) -> None:
    seen: list[Signals] = []
    own = build_policy("hpa:inflight=0.3", CONTEXT).policy

    def watched(state: dict[str, Any], signals: Signals, now: float) -> Any:
        seen.append(signals)
        return own(state, signals, now)

    events = recorded()
    away = events[50]["tidegate"]["decision"]["signals"]
    away.update(ready=0, running=0)
    decisions = read(events)
    what_if(decisions, lambda _: watched, 5.0)
    assert any(signals.ready < signals.running for signals in seen)
    # What another number of replicas completed says nothing of these.
    assert all(
        (signals.completed_rate is None) == (signals.ready != one.signals.ready)
        for signals, one in zip(seen, decisions, strict=True)
        if signals.running
    )
    assert (seen[50].ready, seen[50].running) == (0, 0)
    for signals in [one for one in seen if one.running]:
        assert signals.busy is not None
        assert signals.in_system == signals.busy + (signals.queued or 0.0)
        assert signals.busy <= 4 * signals.ready


def lent(events: list[dict[str, Any]]) -> list[RecordedDecision]:
    """As an autoscaler that may set slots records them: 4 of its own, as the resizer reports."""
    asked = 4
    for event in events:
        printed = event["tidegate"]["decision"]
        printed["inputs"]["parameters"] |= {"base_slots": 4, "most_slots": 8}
        printed["signals"]["slots_asked"] = asked
        asked = printed.get("slots") or asked
    return read(events)


def test_a_replica_with_lent_slots_costs_proportionally_more(recorded: Recorded) -> None:
    decisions = lent(recorded("surge"))
    assert {one.fields["slots"] for one in decisions} >= {4, 8}
    rows = what_if(decisions, always("sloq"), 5.0)
    actual, _ = totals(rows)
    plain = sum(row.actual.fields["desired"] * row.seconds for row in rows)
    extra = sum(
        row.actual.fields["desired"] * (row.actual.fields["slots"] / 4 - 1) * row.seconds
        for row in rows
    )
    assert extra > 0
    assert actual.replica_seconds == pytest.approx(plain + extra)


def test_another_policy_gets_the_base_slots_and_not_the_lent_ones(
    recorded: Recorded,
) -> None:
    seen: list[Signals] = []
    inner = build_policy("sloq", CONTEXT).policy

    def watched(state: dict[str, Any], signals: Signals, now: float) -> Any:
        seen.append(signals)
        return inner(state, signals, now)

    decisions = lent(recorded("surge"))
    assert {one.signals.slots_per_replica for one in decisions} >= {4, 8}
    what_if(decisions, lambda _: watched, 5.0)
    assert {signals.slots_per_replica for signals in seen} == {4}
    assert {signals.busiest for signals in seen} == {None}


def test_slots_set_by_another_policy_are_shown(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "decisions.ndjson", recorded("sloq"))
    assert replay_command(SETTINGS, path, policy="surge", as_json=False) == 0
    assert re.search(r" \d+ × 8 ", capsys.readouterr().out)  # noqa: RUF001
    assert replay_command(SETTINGS, path, policy="surge", as_json=True) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {tick["actual_slots"] for tick in printed["ticks"]} == {None}
    assert {tick["other_slots"] for tick in printed["ticks"]} >= {4, 8}


def test_an_unknown_signal_is_named_and_its_decision_skipped(
    recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = recorded(ticks=3)
    events[1]["tidegate"]["decision"]["signals"]["moon"] = 1
    path = write(tmp_path / "decisions.ndjson", events)
    for policy in ("", "hpa"):
        assert replay_command(SETTINGS, path, policy=policy, as_json=False) == 0
        assert (
            "decisions.ndjson:2 not a decision that can be replayed: unknown or missing signals moon"
            in (capsys.readouterr().err)
        )


@pytest.mark.parametrize("broken", [{"slo_seconds": "x"}, {"max": None}])
def test_a_recorded_parameter_of_another_type_is_an_error_without_a_traceback(
    broken: dict[str, Any],
    recorded: Recorded,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    events = recorded(ticks=3)
    for event in events:
        event["tidegate"]["decision"]["inputs"]["parameters"].update(broken)
    path = write(tmp_path / "decisions.ndjson", events)
    assert replay_command(SETTINGS, path, policy="sloq", as_json=False) == 2
    assert capsys.readouterr().err.startswith("replay: a recorded parameter has no valid value: ")
