"""A file is never regarded as closed, and never deleted, while its writer process is alive."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.doubles.raising import raising
from tidegate.collector import writer_lock
from tidegate.collector.checkpoint import Progress
from tidegate.collector.retention import Retention, expired
from tidegate.collector.tail import Limits, Tail
from tidegate.events.writer import EventWriter

WRITER = """
import sys
from pathlib import Path
from tidegate.events.writer import EventWriter
writer = EventWriter(Path(sys.argv[1]), "flights-1")
for line in sys.stdin.buffer:
    writer.write_line(line)
    print(flush=True)
"""
LATER = 10.0**6

# Bytes that are delivered: all that a file of these tests has.
ALL = 10**9


@contextmanager
def writing(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real process that has written one event and lives on, quietly."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        send_line(process)
        yield process
    finally:
        process.kill()
        process.communicate()


def send_line(process: subprocess.Popen[bytes], line: bytes = b'{"n":1}\n') -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(line)
    process.stdin.flush()
    assert process.stdout.readline() == b"\n"


def closed(folder: Path) -> list[str]:
    """The files that count as closed, long after they were last written to."""
    moment = max(path.stat().st_mtime for path in folder.iterdir()) + LATER
    tail = Tail(folder, Progress(), Limits(10, 65_536, 1024), lambda: moment)
    tail.scan()
    offsets = {name: file.size for name, file in tail.files.items()}
    return expired(tail.files.values(), offsets, Retention(0, 0), moment)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_idle_writer_holds_its_file_until_it_ends_for_any_reason(
    tmp_path: Path, number: signal.Signals
) -> None:
    with writing(tmp_path) as process:
        (path,) = tmp_path.iterdir()
        assert closed(tmp_path) == []
        assert not writer_lock.delete(path, ALL)
        send_line(process)
        process.send_signal(number)
        process.wait(timeout=10)
        assert path.read_bytes() == b'{"n":1}\n' * 2
        assert closed(tmp_path) == [path.name]
        assert writer_lock.delete(path, ALL)
        assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_keep_its_parents_file_open(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path, "flights-1")
    writer.write_line(b"{}\n")
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert closed(tmp_path) == []
    writer.close()
    assert len(closed(tmp_path)) == 1
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for fd in (*ready, *done):
        os.close(fd)


def test_a_file_deleted_before_its_writer_held_it_is_not_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    deleted: list[Path] = []

    def open_and_lose(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = real(path, flags, mode)
        if flags & os.O_CREAT and not deleted:
            deleted.append(path)
            assert writer_lock.delete(path, ALL)
        return fd

    monkeypatch.setattr(os, "open", open_and_lose)
    writer = EventWriter(tmp_path, "flights-1")
    writer.write_line(b"{}\n")
    (path,) = tmp_path.iterdir()
    assert path != deleted[0]
    assert path.read_bytes() == b"{}\n"
    assert writer.lost == 0


def test_a_writer_never_waits_for_a_reader_that_was_stopped_with_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    locked: list[int] = []

    def open_and_hold(path: Path, flags: int, mode: int = 0o777) -> int:
        fd = real(path, flags, mode)
        if flags & os.O_CREAT and not locked:
            locked.append(real(path, os.O_RDONLY))
            fcntl.flock(locked[0], fcntl.LOCK_EX)
        return fd

    monkeypatch.setattr(os, "open", open_and_hold)
    writer = EventWriter(tmp_path, "flights-1")
    writer.write_line(b"{}\n")
    sizes = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert sizes == [0, 3]
    os.close(locked[0])


def test_a_file_system_without_locks_loses_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", raising(OSError(95, "Operation not supported")))
    writer = EventWriter(tmp_path, "flights-1")
    writer.write_line(b"{}\n")
    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"{}\n"


def test_the_file_of_another_program_is_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "other.ndjson"
    path.write_text("{}\n")
    assert not writer_lock.delete(path, ALL)
    assert path.exists()
    shutil.rmtree(tmp_path)
    assert writer_lock.delete(tmp_path / "flights-1.1-2.0.ndjson", ALL), "it is gone already"
