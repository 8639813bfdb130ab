from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.doubles.raising import raising
from tidegate.collector import writer_lock
from tidegate.collector.checkpoint import Progress
from tidegate.collector.file_names import FileName, parse
from tidegate.collector.lines import LinePosition, QuarantinedLine, split
from tidegate.collector.tail import QUIET_SECONDS, Batch, Limits, Tail
from tidegate.events.event import encode

LIMITS = Limits(batch_events=1000, batch_bytes=65_536, line_bytes=1024)
NOW = 1_000_000.0


def tail_of(folder: Path, limits: Limits = LIMITS, progress: Progress | None = None) -> Tail:
    return Tail(folder, progress or Progress(), limits, lambda: NOW)


def put(folder: Path, name: str, text: str | bytes, *, age: float = 0) -> Path:
    """Append to a file that was last written to so long ago."""
    path = folder / name
    with path.open("ab") as file:
        file.write(text.encode() if isinstance(text, str) else text)
    os.utime(path, (NOW - age, NOW - age))
    return path


def drain(tail: Tail) -> list[Batch]:
    """Everything there is, delivered batch by batch."""
    batches = []
    tail.scan()
    while batch := tail.batch():
        batches.append(batch)
        tail.delivered(batch)
    return batches


def texts(batches: list[Batch]) -> list[str]:
    return [event["n"] for batch in batches for _, event in batch.events]


def line(text: str) -> str:
    return f'{{"n":"{text}"}}\n'


def name(number: int = 0, pid: int = 11, node: str = "flights-1") -> str:
    return f"{node}.1700000000000-{pid}.{number}.ndjson"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flights-1.1700-42.3.ndjson", FileName("flights-1.1700-42", 3)),
        ("a.b.c.1-2.0.ndjson", FileName("a.b.c.1-2", 0)),
        ("flights-1.1700-42.ndjson", None),
        ("other.ndjson", None),
        (".1-2.3.ndjson", None),
        ("flights-1.1700-42.3.ndjson.gz", None),
    ],
)
def test_a_file_name_contains_its_writer_and_its_number(
    text: str, expected: FileName | None
) -> None:
    assert parse(text) == expected


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    tail = tail_of(tmp_path / "logs")
    assert drain(tail) == []
    (tmp_path / "logs").mkdir()
    put(tmp_path / "logs", name(), line("a"))
    assert texts(drain(tail)) == ["a"]


def test_lines_are_read_once_as_files_grow_and_rotate(tmp_path: Path) -> None:
    tail = tail_of(tmp_path)
    put(tmp_path, name(0), line("a"))
    assert texts(drain(tail)) == ["a"]
    put(tmp_path, name(0), line("b"))
    put(tmp_path, name(1), line("c"))
    put(tmp_path, "another-program.ndjson", line("d"))
    put(tmp_path, "notes.txt", "not events\n")
    (tmp_path / "folder.ndjson").mkdir()
    assert sorted(texts(drain(tail))) == ["b", "c", "d"]
    assert drain(tail) == []


def test_a_line_waits_for_its_end(tmp_path: Path) -> None:
    tail = tail_of(tmp_path)
    put(tmp_path, name(), line("a") + '{"n":')
    assert texts(drain(tail)) == ["a"]
    assert tail.pending_bytes(name()) == len('{"n":')
    put(tmp_path, name(), '"b"}\n')
    assert texts(drain(tail)) == ["b"]
    assert tail.pending_bytes(name()) == 0


@pytest.mark.parametrize("rotated", [True, False])
def test_an_incomplete_line_of_an_ended_writer_is_quarantined(
    tmp_path: Path, rotated: bool
) -> None:
    tail = tail_of(tmp_path)
    put(tmp_path, name(0), line("a") + '{"n":', age=0 if rotated else QUIET_SECONDS)
    if rotated:
        put(tmp_path, name(1), "")
    batches = drain(tail)
    assert texts(batches) == ["a"]
    (found,) = [found for batch in batches for found in batch.quarantined]
    assert found == QuarantinedLine(
        LinePosition(name(0), len(line("a"))), 5, "incomplete: its writer ended", b'{"n":'
    )
    assert tail.pending_bytes(name(0)) == 0


def test_a_recent_writer_has_time_to_complete_its_line(tmp_path: Path) -> None:
    put(tmp_path, name(), '{"n":', age=QUIET_SECONDS - 1)
    assert drain(tail_of(tmp_path)) == []


def closed(tail: Tail) -> set[str]:
    tail.scan()
    return {file.name for file in tail.files.values() if file.closed}


def test_an_unlocked_file_is_closed_if_a_newer_one_exists_or_it_is_quiet(
    tmp_path: Path,
) -> None:
    put(tmp_path, name(0), line("a"))
    put(tmp_path, name(1), line("b"))
    put(tmp_path, name(7, 22), line("c"), age=QUIET_SECONDS)
    put(tmp_path, name(0, 22, "flights-2"), line("d"))
    put(tmp_path, "foreign.ndjson", line("e"), age=999)
    assert closed(tail_of(tmp_path)) == {name(0), name(7, 22)}


def test_a_file_that_cannot_be_locked_is_open_and_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, name(), line("a"), age=999)
    tail = tail_of(tmp_path)
    no_locks = raising(OSError(errno.ENOLCK, "No locks available"))
    monkeypatch.setattr(fcntl, "flock", no_locks)
    assert closed(tail) == set()
    assert closed(tail) == set()
    assert tail.notices() == [f"{name()} cannot be locked: No locks available"]


def test_a_file_deleted_during_a_scan_is_open_and_not_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, name(), line("a"), age=999)
    tail = tail_of(tmp_path)
    monkeypatch.setattr(writer_lock, "is_free", raising(FileNotFoundError()))
    assert closed(tail) == set()
    assert tail.notices() == []


def test_a_truncated_file_is_read_from_its_start_and_reported(tmp_path: Path) -> None:
    tail = tail_of(tmp_path)
    path = put(tmp_path, name(), line("a") * 3)
    drain(tail)
    path.write_text(line("b"))
    assert texts(drain(tail)) == ["b"]
    assert tail.notices() == [f"{name()} was truncated: reading it from its start"]
    assert tail.notices() == []


def test_a_file_deleted_between_scan_and_read_is_ignored(tmp_path: Path) -> None:
    tail = tail_of(tmp_path)
    put(tmp_path, name(0), line("a")).rename(tmp_path / "kept")
    put(tmp_path, name(0), line("a"))
    put(tmp_path, name(1), line("b"))
    tail.scan()
    (tmp_path / name(0)).unlink()
    assert texts([tail.batch()]) == ["b"]
    assert tail.notices() == []


def test_an_unreadable_file_is_reported_once_and_does_not_block_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, name(0), line("a"))
    put(tmp_path, name(1), line("b"))
    tail = tail_of(tmp_path)
    real = os.pread

    def pread(fd: int, count: int, offset: int) -> bytes:
        if Path(f"/proc/self/fd/{fd}").readlink().name == name(0):
            raise OSError(5, "Input/output error")
        return real(fd, count, offset)

    monkeypatch.setattr(os, "pread", pread)
    assert texts(drain(tail)) == ["b"]
    assert tail.notices() == [f"{name(0)} cannot be read: Input/output error"]
    assert drain(tail) == []
    assert tail.notices() == []
    monkeypatch.undo()
    assert texts(drain(tail)) == ["a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"nonsense\n", "invalid JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"5\n", "not a JSON object"),
        (b'{"n": NaN}\n', "invalid JSON"),
        (b"\x00\x00\x00\n", "invalid JSON"),
        (b'{"n":"\xff"}\n', "invalid JSON"),
        (b'{"n":"\\ud800"}\n', "invalid JSON"),
        (b'{"n":"' + b"x" * 70_000 + b'"}\n', "longer than 65536 bytes"),
    ],
)
def test_a_line_that_is_not_an_event_is_quarantined_with_its_position(
    tmp_path: Path, text: bytes, reason: str
) -> None:
    put(tmp_path, name(), line("a").encode() + text + line("b").encode())
    batches = drain(tail_of(tmp_path))
    assert texts(batches) == ["a", "b"]
    (found,) = [found for batch in batches for found in batch.quarantined]
    assert found.position == LinePosition(name(), len(line("a")))
    assert found.reason.startswith(reason)
    assert found.size == len(text) - 1
    assert text.startswith(found.start)


def test_the_long_texts_of_a_long_line_are_cut(tmp_path: Path) -> None:
    long = f'{{"n":"{"x" * 50_000}","tags":["mine"]}}\n'
    put(tmp_path, name(), line("a") + long + line("b"))
    batches = drain(tail_of(tmp_path, Limits(1000, 65_536, 16_384)))
    first, cut, last = [event for batch in batches for _, event in batch.events]
    assert (first["n"], last["n"]) == ("a", "b")
    assert cut["tags"] == ["mine", "truncated"]
    assert cut["n"].startswith("xxx")
    assert "characters cut" in cut["n"]
    assert len(encode(cut)) <= 16_384
    assert [found for batch in batches for found in batch.quarantined] == []


def test_an_event_without_an_id_gets_one_from_its_position_and_content(tmp_path: Path) -> None:
    first = '{"n":"a"}\n'
    put(tmp_path, name(), first + '{"n":"b","event":{"id":"own"}}\n{"n":"c","event":{"id":null}}\n')
    put(tmp_path, name(), '{"n":"d","event":"text"}\n')
    events = [event["event"] for batch in drain(tail_of(tmp_path)) for _, event in batch.events]
    assert events == [
        {"id": f"{name()}-0-592097d8c66298a8"},
        {"id": "own"},
        {"id": f"{name()}-41-63e9d8cc4e7b4c3a"},
        "text",
    ]


@pytest.mark.parametrize("closed", [True, False])
def test_a_line_longer_than_a_batch_is_skipped_in_chunks(tmp_path: Path, closed: bool) -> None:
    limits = Limits(batch_events=10, batch_bytes=1024, line_bytes=1024)
    tail = tail_of(tmp_path, limits)
    huge = b"x" * 3_000_000
    put(tmp_path, name(0), line("a").encode() + huge)
    assert texts(drain(tail)) == ["a"]
    put(tmp_path, name(0), huge)
    assert drain(tail) == []
    if closed:
        put(tmp_path, name(1), line("b"))
    else:
        put(tmp_path, name(0), b"\n" + line("b").encode())
    batches = drain(tail)
    assert texts(batches) == ["b"]
    (found,) = [found for batch in batches for found in batch.quarantined]
    assert (found.size, len(found.start)) == (6_000_000, 4096)
    assert tail.pending_bytes(name(0)) == 0


def test_a_batch_ends_at_its_limits_and_is_marked_full(tmp_path: Path) -> None:
    put(tmp_path, name(), line("a") * 25)
    by_count = drain(tail_of(tmp_path, Limits(10, 65_536, 1024)))
    assert [len(batch.events) for batch in by_count] == [10, 10, 5]
    assert [batch.full for batch in by_count] == [True, True, False]
    put(tmp_path, name(1), line("b") * 1000)
    by_size = drain(tail_of(tmp_path, Limits(10_000, 2000, 100)))
    assert all(len(batch.events) * 10 <= 2100 for batch in by_size)
    assert sum(len(batch.events) for batch in by_size) == 1025


def test_files_take_turns(tmp_path: Path) -> None:
    for node in ("a", "b", "c"):
        put(tmp_path, name(node=node), line(node) * 20)
    order = [
        batch.events[0][1]["n"] for batch in drain(tail_of(tmp_path, Limits(10, 65_536, 1024)))
    ]
    assert order[:3] == ["a", "b", "c"]
    assert sorted(order) == ["a", "a", "b", "b", "c", "c"]


@given(
    pieces=st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=8),
    max_lines=st.integers(1, 10),
    offset=st.integers(0, 10**12),
    rest=st.binary(max_size=5).map(lambda data: data.replace(b"\n", b"")),
)
def test_every_complete_line_is_split_once_with_its_position(
    pieces: list[bytes], max_lines: int, offset: int, rest: bytes
) -> None:
    data = b"".join(piece + b"\n" for piece in pieces) + rest
    found = split("f", data, offset, max_lines=max_lines, line_bytes=8)
    whole = pieces[:max_lines]
    assert found.end == offset + sum(len(piece) + 1 for piece in whole)
    places = {place.offset for place, _ in found.events} | {
        a.position.offset for a in found.quarantined
    }
    at, expected = offset, set()
    for piece in whole:
        if piece.strip():
            expected.add(at)
        at += len(piece) + 1
    assert places == expected
