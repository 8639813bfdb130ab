"""A pause and manual bounds: the file, its effect, its expiry, and the commands."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from tidegate.autoscaler.live.override import Override, OverrideFile, apply_override
from tidegate.autoscaler.types import Bounds, Decision, Policy, Signals
from tidegate.cli import app

NOON = 1_772_452_800.0  # 2026-03-02T12:00Z
HELD = 5
SEEN = Signals(1.0, 0.1, 1.0, 4, HELD, HELD, HELD, 0.1, 1.0, unix_seconds=NOON)
BOUNDS = Bounds(1, 9)


def wants(number: int) -> Policy:
    def decide(state: dict[str, Any], signals: Signals, now: float) -> Decision:
        return Decision(number, "up", f"5 → {number}: {number} it is", {"wants": number}, {"n": 1})

    return decide


@pytest.mark.parametrize(
    ("override", "recommended", "desired", "reason", "explanation"),
    [
        (
            Override(NOON), 7, 5, "paused",
            "5 held: paused until 2026-03-02 12:00Z; else 5 → 7: 7 it is",
        ),
        (
            Override(NOON, max=6), 7, 6, "up",
            "5 → 6: manual bounds until 2026-03-02 12:00Z, at most 6 from 1 to 6; else 7 (5 → 7: 7 it is)",
        ),
        (
            Override(NOON, 3, 8), 7, 7, "up",
            "5 → 7: 7 it is; manual bounds until 2026-03-02 12:00Z, at least 3 and at most 8",
        ),
        (
            Override(NOON, min=6), 2, 6, "up",
            "5 → 6: manual bounds until 2026-03-02 12:00Z, at least 6 from 6 to 9; else 2 (5 → 2: 2 it is)",
        ),
    ],
)  # fmt: skip
def test_it_holds_or_bounds_the_number_and_explains_it(
    override: Override, recommended: int, desired: int, reason: str, explanation: str
) -> None:
    found = apply_override(wants(recommended), override, BOUNDS)({}, SEEN, 1.0)
    assert (found.desired, found.reason, found.explanation) == (desired, reason, explanation)
    assert found.state == {"n": 1}


COUNTS = st.none() | st.integers(1, 99)


@given(st.integers(-9, 99), st.integers(-9, 99), COUNTS, COUNTS, st.integers(1, 9))
def test_it_stays_within_the_bounds_of_the_settings(
    recommended: int, held: int, least: int | None, most: int | None, low: int
) -> None:
    override, own = Override(NOON, least, most), Bounds(low, low + 5)
    seen = replace(SEEN, desired=held)
    decision = apply_override(wants(recommended), override, own)({}, seen, 1.0)
    assert own.min <= decision.desired <= own.max


@pytest.fixture
def file(tmp_path: Path) -> OverrideFile:
    return OverrideFile(tmp_path / "autoscaler" / "control.json")


def test_a_written_override_is_in_force_until_it_expires(file: OverrideFile) -> None:
    assert file.read(NOON) == (None, "")
    file.write(Override(NOON, min=3))
    assert file.read(NOON - 0.1) == (Override(NOON, min=3), "")
    assert file.read(NOON) == (None, "")
    file.write(Override(NOON + 60))
    assert file.read(NOON) == (Override(NOON + 60), "")
    assert [path.name for path in file.path.parent.iterdir()] == ["control.json"]
    assert (file.remove(), file.remove()) == (True, False)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "Is a directory"),
        (b"", "Invalid JSON"),
        (b"{}", "(until: Field required)"),
        (b'{"until": "NaN"}', "(until: "),
        (b'{"until": 1, "min": -1}', "(min: "),
        (b'{"until": 1, "luck": 0}', "(luck: "),
        (b'{"until": 1' + b" " * 5000 + b"}", "Invalid JSON"),
    ],
)
def test_an_invalid_file_is_ignored_and_reported(
    file: OverrideFile, content: bytes | None, says: str
) -> None:
    file.path.parent.mkdir()
    if content is None:
        file.path.mkdir()
    else:
        file.path.write_bytes(content)
    override, bad = file.read(0.0)
    assert override is None
    assert bad.startswith(str(file.path))
    assert says in bad


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path))
    return tmp_path


def tidegate(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.stdout, done.stderr


def test_the_commands_write_and_remove_the_override(data: Path) -> None:
    before = time.time()
    code, out, _ = tidegate("pause", "--min", "2", "--max", "4", "--for", "2h")
    assert (code, out.startswith("manual bounds until ")) == (0, True)
    recorded = json.loads((data / "autoscaler" / "control.json").read_text(encoding="utf-8"))
    assert (recorded["min"], recorded["max"]) == (2, 4)
    assert before + 7200 <= recorded["until"] <= time.time() + 7200
    assert tidegate("pause")[1].startswith("paused until ")
    assert tidegate("resume") == (0, "sloq decides again from the next tick\n", "")
    assert tidegate("resume") == (1, "", "nothing was paused\n")


def test_where_zero_is_allowed_a_pause_may_hold_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_REPLICAS__MIN", "0")
    code, out, err = tidegate("pause", "--max", "0")
    assert (code, err, "at most 0" in out) == (0, "", True)
    override, problem = OverrideFile(data / "autoscaler" / "control.json").read(time.time())
    assert (override and override.max, problem) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--for", "soon"], "'soon' is not a valid duration"),
        (["--for", "0s"], "must be from 1s to 7d"),
        (["--for", "8d"], "must be from 1s to 7d"),
        (["--min", "7"], "--min 7: replicas.min and replicas.max allow 1 to 6"),
        (["--max", "0"], "--max 0: replicas.min and replicas.max allow 1 to 6"),
        (["--min", "4", "--max", "3"], "--min (4) must not be greater than --max (3)"),
    ],
)
def test_invalid_arguments_are_refused(data: Path, arguments: list[str], says: str) -> None:
    code, out, err = tidegate("pause", *arguments)
    assert (code, out, says in err) == (2, "", True)
    assert not (data / "autoscaler").exists()


def test_a_disabled_autoscaler_and_an_unwritable_folder_are_reported(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_AUTOSCALER__ENABLED", "false")
    code, _, err = tidegate("pause")
    assert (code, "so this has no effect" in err) == (0, True)
    file = data / "autoscaler" / "control.json"
    file.unlink()
    (file / "x").mkdir(parents=True)
    for command in ("pause", "resume"):
        code, _, err = tidegate(command)
        assert (code, str(file) in err.replace("\n", "")) == (2, True)
