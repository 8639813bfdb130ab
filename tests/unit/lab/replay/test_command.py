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
from tidegate.lab.replay.what_if import totals, what_if
from tidegate.runtime.identity import own_version
from tidegate.settings import Settings

Recorded = Callable[..., list[dict[str, Any]]]
SETTINGS = Settings.model_validate({"slo": {"latency_seconds": 0.6}})
CONTEXT = PolicyContext(Bounds(1, 30), 0.6)


def always(words: str) -> Callable[[RecordedDecision], Policy]:
    policy = build_policy(words, CONTEXT).policy
    return lambda _: policy


Replayed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Replayed:
    """The exit code of a replay of these events, or bytes, and what it wrote."""

    def run(
        events: list[dict[str, Any]] | bytes, policy: str = "", *, as_json: bool = False
    ) -> tuple[int, str, str]:
        path = tmp_path / "decisions.ndjson"
        lines = events if isinstance(events, bytes) else b"\n".join(map(orjson.dumps, events))
        path.write_bytes(lines)
        code = replay_command(SETTINGS, str(path), policy=policy, as_json=as_json)
        return (code, *capsys.readouterr())

    return run


@pytest.mark.parametrize("words", [*POLICIES, "max(sloq,hpa:inflight=0.7)", "min(sloq,step,kpa)"])
def test_every_policy_replays(words: str, recorded: Recorded, replayed: Replayed) -> None:
    said = "120 decisions, each the same to the byte\n"
    assert replayed(recorded(words)) == (0, said, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"desired": 99}, "desired: recorded 99, "),
        ({"reason": "luck"}, 'reason: recorded "luck", '),
        ({"slots": 7}, "slots: recorded 7, replayed null"),
    ],
)
def test_the_first_difference_is_named(
    change: dict[str, Any], says: str, recorded: Recorded, replayed: Replayed
) -> None:
    events = recorded(ticks=9)
    for event in events[4:]:
        event["tidegate"]["decision"].update(change)
    code, out, _ = replayed(events)
    assert code == 1
    assert "decisions.ndjson:5: 2026-03-02T08:" in out
    assert says in out


def test_a_difference_in_the_last_bit_of_an_input_is_one(
    recorded: Recorded, replayed: Replayed
) -> None:
    events = recorded(ticks=3)
    events[1]["tidegate"]["decision"]["inputs"]["load"] += 2**-50
    code, out, _ = replayed(events, as_json=True)
    found = json.loads(out)
    assert (code, found["decisions"], found["same"], found["first"]["line"]) == (1, 3, False, 2)
    assert found["first"]["difference"].startswith("inputs.load: ")


def test_invalid_lines_are_reported_and_skipped_like_other_events(
    recorded: Recorded, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = recorded(ticks=1)[0]
    broken = deepcopy(good)
    signals = broken["tidegate"]["decision"]["signals"]
    del signals["ready"]
    signals["moon"] = 1
    other = b'{"event": {"dataset": "tidegate.app"}}'
    lines = [b"{", b"7", b" \r", other, orjson.dumps(broken), orjson.dumps(good)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\n".join(lines))))
    assert replay_command(SETTINGS, "-", policy="", as_json=False) == 0
    out, err = capsys.readouterr()
    assert out == "1 decisions, each the same to the byte\n"
    first, second, third = err.splitlines()
    for number, line in ((1, first), (2, second)):
        assert line == f"replay: stdin:{number} not an event: skipped"
    assert third.startswith("replay: stdin:5 not a decision that can be replayed: ")
    said = f"moon, ready (recorded by Tidegate 1.2.3, this is {own_version()})"
    assert f"unknown or missing signals {said}" in third


@pytest.mark.parametrize(
    ("section", "name"), [("", "slots"), ("signals", "slots_per_replica"), ("signals", "busy")]
)
@pytest.mark.parametrize("policy", ["", "sloq"])
def test_a_text_in_place_of_a_number_is_reported(
    section: str, name: str, policy: str, recorded: Recorded, replayed: Replayed
) -> None:
    events = recorded(ticks=3)
    decision = events[1]["tidegate"]["decision"]
    (decision[section] if section else decision)[name] = "7"
    code, _, err = replayed(events, policy)
    assert (code, "decisions.ndjson:2 not a decision that can be replayed" in err) == (0, True)


@pytest.mark.parametrize(
    ("recorded_policy", "policy", "says"),
    [
        ("", "", "has no decision"),
        ("sloq", "guess", "unknown policy 'guess'"),
        ("oracle", "", "line 1: unknown policy 'oracle'"),
    ],
)
def test_invalid_input_is_reported(
    recorded_policy: str, policy: str, says: str, recorded: Recorded, replayed: Replayed
) -> None:
    (event,) = recorded(ticks=1)
    event["tidegate"]["decision"]["policy"] = recorded_policy
    code, out, err = replayed([event] if recorded_policy else b"", policy)
    assert (code, out, err.startswith("replay: "), says in err) == (2, "", True, True)


def test_another_policy_decides_on_the_recorded_traffic(
    recorded: Recorded, replayed: Replayed, tmp_path: Path
) -> None:
    _, out, _ = replayed(recorded(), "hpa:inflight=0.7")
    assert "hpa:inflight=0.7: " in out
    assert "replica-seconds" in out
    path = str(tmp_path / "decisions.ndjson")
    result = CliRunner().invoke(app, ["replay", path, "--policy", "step", "--json"])
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert (printed["policy"], len(printed["ticks"])) == ("step", 120)
    # One more a minute at most: it lags behind what the spike needs.
    assert printed["other"]["replica_seconds"] < printed["actual"]["replica_seconds"]
    steps = [tick["other"] for tick in printed["ticks"]]
    assert max(abs(b - a) for a, b in pairwise(steps)) == 1


@pytest.mark.parametrize("begin", [10, 0], ids=["of the autoscaler", "of the machine"])
def test_a_restart_resets_the_policy_and_the_gap_counts_for_neither(
    begin: int, recorded: Recorded
) -> None:
    events = recorded(ticks=20)
    again = deepcopy(events[begin : begin + 10])
    if begin:  # the clock goes on
        again[0]["tidegate"]["decision"]["state"] = {}
    rows = what_if(read([*events[:10], *again]), always("hpa"), 5.0)
    assert [row.seconds for row in rows] == [*[5.0] * 9, 0.0] * 2
    assert rows[10].previous == rows[10].actual.signals.desired


def watched(words: str) -> tuple[list[Signals], Callable[[RecordedDecision], Policy]]:
    """A policy, and the signals that it gets."""
    seen: list[Signals] = []
    own = build_policy(words, CONTEXT).policy

    def decide(state: dict[str, Any], signals: Signals, now: float) -> Any:
        seen.append(signals)
        return own(state, signals, now)

    return seen, lambda _: decide


def test_replicas_of_the_other_policy_take_time_to_start_and_share_the_load(
    recorded: Recorded,
) -> None:
    events = recorded()
    away = events[50]["tidegate"]["decision"]["signals"]
    away.update(ready=0, running=0)
    decisions = read(events)
    seen, policy = watched("hpa:inflight=0.3")
    what_if(decisions, policy, 5.0)
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


def test_another_policy_gets_the_base_slots_and_not_the_lent_ones(recorded: Recorded) -> None:
    seen, policy = watched("sloq")
    decisions = lent(recorded("surge"))
    assert {one.signals.slots_per_replica for one in decisions} >= {4, 8}
    what_if(decisions, policy, 5.0)
    assert {signals.slots_per_replica for signals in seen} == {4}
    assert {signals.busiest for signals in seen} == {None}


def test_slots_set_by_another_policy_are_shown(recorded: Recorded, replayed: Replayed) -> None:
    code, out, _ = replayed(recorded("sloq"), "surge")
    assert code == 0
    assert re.search(r" \d+ × 8 ", out)  # noqa: RUF001
    ticks = json.loads(replayed(recorded("sloq"), "surge", as_json=True)[1])["ticks"]
    assert {tick["actual_slots"] for tick in ticks} == {None}
    assert {tick["other_slots"] for tick in ticks} >= {4, 8}


@pytest.mark.parametrize("broken", [{"slo_seconds": "x"}, {"max": None}])
def test_a_recorded_parameter_of_another_type_is_an_error_without_a_traceback(
    broken: dict[str, Any], recorded: Recorded, replayed: Replayed
) -> None:
    events = recorded(ticks=3)
    for event in events:
        event["tidegate"]["decision"]["inputs"]["parameters"].update(broken)
    code, _, err = replayed(events, "sloq")
    assert code == 2
    assert err.startswith("replay: a recorded parameter has no valid value: ")
