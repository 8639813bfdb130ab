"""Checkpoint, quarantine, backoff and file expiry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.doubles.raising import no_space_left, raising
from tidegate.collector import quarantine as quarantine_module
from tidegate.collector.checkpoint import Checkpoint, Progress
from tidegate.collector.lines import LinePosition, QuarantinedLine
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.retention import Retention, expired
from tidegate.collector.tail import LogFile
from tidegate.runtime.daemon import CannotStartError


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "[]", "{}", '{"version": 0, "files": {}}', '{"version": "2", "files": {}}',
     '{"version": 1, "files": []}',
     '{"version": 1, "files": {"a": -1}}',
     '{"version": 1, "files": {"a": "5"}}',
     '{"version": 1, "files": {"a": true}}',
     '{"version": 1, "files": {}, "mark": Infinity}',
     '{"version": 1, "files": {}, "clock": [1]}', "\udcff"],
)  # fmt: skip
def test_a_corrupt_checkpoint_restarts_delivery_and_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    checkpoint = Checkpoint(path)
    assert checkpoint.load() == Progress()
    assert "delivering every file again" in checkpoint.problem


def test_a_checkpoint_of_a_newer_version_is_neither_used_nor_replaced(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text('{"version": 2, "files": {"a": 5}}')
    with pytest.raises(
        CannotStartError, match=r"is in format 2, and this version .* format 1: use"
    ):
        Checkpoint(path).load()


def quarantined_line(offset: int = 0) -> QuarantinedLine:
    return QuarantinedLine(LinePosition("file.ndjson", offset), 3, "invalid JSON", b"a\xffb")


def entries(folder: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in (folder / "quarantine.ndjson").read_text().splitlines()]


@pytest.mark.parametrize("name", ["checkpoint.json", "quarantine.ndjson"])
def test_the_files_of_the_collector_are_private(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("")
    path.chmod(0o644)
    Checkpoint(tmp_path / "checkpoint.json").save(Progress({"a": 5}))
    Quarantine(tmp_path, clock_ns=lambda: 0).add([quarantined_line()])
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_symbolic_link_is_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("of another owner")
    for name in ("checkpoint.json", "quarantine.ndjson"):
        (tmp_path / name).symlink_to(target)
    Checkpoint(tmp_path / "checkpoint.json").save(Progress({"a": 5}))  # replaces the link
    with pytest.raises(OSError, match="symbolic links"):
        Quarantine(tmp_path, clock_ns=lambda: 0).add([quarantined_line()])
    assert target.read_text() == "of another owner"


def test_a_line_is_quarantined_once_however_often_it_is_delivered(tmp_path: Path) -> None:
    first = Quarantine(tmp_path, clock_ns=lambda: 0)
    lines = [quarantined_line(1), quarantined_line(2)]
    assert first.add(lines) == lines
    assert first.add(lines) == []
    again = Quarantine(tmp_path, clock_ns=lambda: 5)
    assert again.add([*lines, quarantined_line(3)]) == [quarantined_line(3)]
    assert [entry["offset"] for entry in entries(tmp_path)] == [1, 2, 3]


def test_another_line_at_the_same_offset_is_quarantined(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, clock_ns=lambda: 0)
    other = QuarantinedLine(LinePosition("file.ndjson", 1), 3, "invalid JSON", b"new")
    assert quarantine.add([quarantined_line(1)]) == [quarantined_line(1)]
    assert quarantine.add([other]) == [other]


def test_an_entry_that_a_kill_has_cut_is_replaced(tmp_path: Path) -> None:
    Quarantine(tmp_path, clock_ns=lambda: 0).add([quarantined_line(1), quarantined_line(2)])
    path = tmp_path / "quarantine.ndjson"
    path.write_bytes(path.read_bytes()[:-30])
    Quarantine(tmp_path, clock_ns=lambda: 0).add([quarantined_line(1), quarantined_line(2)])
    assert [entry["offset"] for entry in entries(tmp_path)] == [1, 2]


def test_only_the_last_lines_of_each_file_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_module, "KNOWN_LINES", 2)
    quarantine = Quarantine(tmp_path, clock_ns=lambda: 0)
    lines = [quarantined_line(offset) for offset in range(4)]
    for line in lines:
        quarantine.add([line])
    for opened in (quarantine, Quarantine(tmp_path, clock_ns=lambda: 0)):
        assert opened.add(lines[2:]) == []
    assert quarantine.add(lines[:1]) == lines[:1]


def test_a_failed_write_is_taken_back_without_reading_the_files_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine = Quarantine(tmp_path, clock_ns=lambda: 0)
    quarantine.add([quarantined_line(1)])

    monkeypatch.setattr(quarantine_module, "_read", raising(AssertionError("read again")))
    with monkeypatch.context() as patched:
        patched.setattr("tidegate.collector.quarantine.os.fsync", no_space_left())
        with pytest.raises(OSError, match="No space left"):
            quarantine.add([quarantined_line(2)])
    assert quarantine.add([quarantined_line(1), quarantined_line(2)]) == [quarantined_line(2)]
    assert [entry["offset"] for entry in entries(tmp_path)] == [1, 2]


def test_a_quarantine_is_rotated(tmp_path: Path) -> None:
    quarantine = Quarantine(tmp_path, clock_ns=lambda: 0, file_bytes=100)
    for offset in range(5):
        quarantine.add([quarantined_line(offset)])
    assert [entry["offset"] for entry in entries(tmp_path)] == [4]
    assert {path.name for path in tmp_path.iterdir()} == {
        "quarantine.ndjson",
        "quarantine.1.ndjson",
    }


def test_a_rotation_and_a_kill_quarantine_no_line_twice(tmp_path: Path) -> None:
    """The collector is killed after the rotation and before its checkpoint."""
    for offset in range(3):
        Quarantine(tmp_path, clock_ns=lambda: 0, file_bytes=100).add([quarantined_line(offset)])
    repeated = Quarantine(tmp_path, clock_ns=lambda: 0, file_bytes=100)
    assert repeated.add([quarantined_line(1), quarantined_line(2)]) == []
    assert [entry["offset"] for entry in entries(tmp_path)] == [2]


def log(name: str, size: int, modified: float, *, closed: bool = True) -> LogFile:
    return LogFile(name, size, modified, closed)


FILES = [log("old", 10, 0), log("mid", 10, 50), log("new", 10, 90)]
DONE = {file.name: file.size for file in FILES}


@pytest.mark.parametrize(
    ("offsets", "keep_seconds", "keep_bytes", "gone"),
    [
        (DONE, 1000, 1000, []),
        (DONE, 50, 1000, ["old"]),
        (DONE, 0, 1000, ["old", "mid", "new"]),
        (DONE, 1000, 30, []),
        (DONE, 1000, 29, ["old"]),
        (DONE, 1000, 0, ["old", "mid", "new"]),
        ({**DONE, "old": 9}, 0, 0, ["mid", "new"]),
        ({}, 0, 0, []),
    ],
)
def test_delivered_files_are_deleted_when_too_old_or_too_large_oldest_first(
    offsets: dict[str, int], keep_seconds: float, keep_bytes: int, gone: list[str]
) -> None:
    found = expired(FILES, offsets, Retention(keep_seconds, keep_bytes), now=100)
    assert found == gone


@given(
    st.lists(
        st.builds(
            LogFile, st.uuids().map(str), st.integers(0, 100), st.floats(0, 100), st.booleans()
        )
    ),
    st.dictionaries(st.text(), st.integers(0, 100)),
)
def test_an_open_or_undelivered_file_is_never_deleted(
    files: list[LogFile], offsets: dict[str, int]
) -> None:
    some = {file.name: file.size // 2 for file in files[::2]} | offsets
    gone = expired(files, some, Retention(0, 0), now=1e9)
    for file in files:
        if not file.closed or some.get(file.name, 0) < file.size:
            assert file.name not in gone
