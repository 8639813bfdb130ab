"""The event writer: file names, rotation, and concurrent writes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest

from support.harnesses.event_files import START_NS, Clock, contents, files
from tidegate.events.writer import EventWriter


def test_files_are_named_by_node_start_and_sequence(writer: EventWriter, clock: Clock) -> None:
    writer.write({"a": 1})
    writer.close()
    writer.write({"a": 2})
    start = f"{START_NS // 10**6}-{os.getpid()}"
    assert [path.name for path in files(writer)] == [
        f"flights-1.{start}.0.ndjson",
        f"flights-1.{start}.1.ndjson",
    ]
    assert contents(writer) == [b'{"a":1}\n', b'{"a":2}\n']


def test_no_file_is_created_before_the_first_event(writer: EventWriter) -> None:
    assert files(writer) == []


def test_a_full_file_is_rotated(writer: EventWriter) -> None:
    for _ in range(5):
        writer.write_line(b"x" * 99 + b"\n")
    assert [len(content) for content in contents(writer)] == [200, 200, 100]


def test_a_writer_holds_no_file_but_the_open_one(writer: EventWriter) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for _ in range(9):
        writer.write_line(b"x" * 99 + b"\n")
    assert len(list(descriptors.iterdir())) == before + 1
    writer.close()
    assert len(list(descriptors.iterdir())) == before


def test_a_line_longer_than_a_file_gets_its_own_file(writer: EventWriter) -> None:
    writer.write_line(b"a\n")
    writer.write_line(b"x" * 500 + b"\n")
    writer.write_line(b"b\n")
    assert [len(content) for content in contents(writer)] == [2, 501, 2]


def test_an_old_file_is_rotated(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    clock.now_ns += int(3600 * 1e9)
    writer.write_line(b"b\n")
    clock.now_ns += 1
    writer.write_line(b"c\n")
    assert contents(writer) == [b"a\nb\n", b"c\n"]


def test_a_clock_set_back_does_not_rotate_the_file(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    clock.now_ns -= 10**12
    writer.write_line(b"b\n")
    assert contents(writer) == [b"a\nb\n"]


def test_writers_of_the_same_node_never_share_a_file(tmp_path: Path, clock: Clock) -> None:
    writers = [EventWriter(tmp_path, "n", clock_ns=clock) for _ in range(3)]
    for turn in range(2):
        for number, one in enumerate(writers):
            one.write_line(b"%d%d\n" % (number, turn))
        for one in writers:
            one.close()
    assert sum(one.lost for one in writers) == 0
    lines = [path.read_bytes() for path in tmp_path.iterdir()]
    assert sorted(lines) == [b"00\n", b"01\n", b"10\n", b"11\n", b"20\n", b"21\n"]


def test_a_deleted_folder_is_created_again(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    (path,) = files(writer)
    path.unlink()
    writer.directory.rmdir()
    clock.now_ns += 10**9
    writer.write_line(b"b\n")
    assert contents(writer) == [b"b\n"]
    assert writer.lost == 0


def test_a_deletion_is_looked_for_once_a_second(
    writer: EventWriter, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    status_of = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        looked.append(descriptor)
        return status_of(descriptor)

    writer.write_line(b"a\n")
    clock.now_ns += 10**9
    monkeypatch.setattr(os, "fstat", fstat)
    for _ in range(3):
        writer.write_line(b"a\n")
    assert len(looked) == 1


def test_a_folder_that_cannot_be_created_loses_events_and_does_not_raise(
    writer: EventWriter, capsys: pytest.CaptureFixture[str]
) -> None:
    writer.directory.rmdir()
    writer.directory.write_bytes(b"a file in its place")
    writer.write({"a": 1})
    writer.write({"a": 1})
    assert writer.lost == 2
    writer.directory.unlink()
    writer.write({"a": 2})
    lost, again = capsys.readouterr().err.splitlines()
    assert lost.startswith(
        f"tidegate: events cannot be written to {writer.directory} and are lost: "
    )
    assert again.endswith(" again; 2 were lost")
    assert contents(writer) == [b'{"a":2}\n']


def test_stderr_may_be_a_logger_that_writes_events_in_another_thread(
    writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log(text: str) -> None:
        thread = threading.Thread(target=writer.write, args=({"message": text},), daemon=True)
        thread.start()
        thread.join(10)
        assert not thread.is_alive()

    writer.directory.rmdir()
    writer.directory.write_bytes(b"a file in its place")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", SimpleNamespace(write=log))
        writer.write({"a": 1})
    assert writer.lost == 2


def test_lines_of_threads_are_not_mixed(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, "n", file_bytes=4096)
    go = threading.Barrier(4)

    def work(number: int) -> None:
        go.wait()
        for turn in range(200):
            writer.write({"thread": number, "turn": turn, "pad": "x" * (turn % 90)})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    lines = [
        orjson.loads(line) for path in tmp_path.iterdir() for line in path.read_bytes().splitlines()
    ]
    assert {(line["thread"], line["turn"]) for line in lines} == {
        (n, turn) for n in range(4) for turn in range(200)
    }
    assert len(lines) == 800
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 4096


def test_a_signal_handler_may_write_during_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = EventWriter(tmp_path, "n")
    real_write = os.write
    interrupted: list[int] = []

    def write(fd: int, data: bytes) -> int:
        if not interrupted:
            interrupted.append(fd)
            signal.raise_signal(signal.SIGUSR1)
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", write)
    before = signal.signal(signal.SIGUSR1, lambda *_: writer.write_line(b"handler\n"))
    try:
        writer.write_line(b"line\n")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert contents(writer) == [b"handler\nline\n"]
