"""Failures of the disk, the kernel or the process: few events are lost, and `write` never raises."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from support.harnesses.event_files import contents
from tidegate.events.writer import EventWriter


class Disk:
    """A fake disk between the writer and the kernel, with a limited number of free bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free_bytes = 10**9
        self.code = errno.ENOSPC
        self._write: Callable[[int, bytes], int] = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.free_bytes == 0:
            raise OSError(self.code, os.strerror(self.code))
        count = self._write(fd, data[: self.free_bytes])
        self.free_bytes -= count
        return count


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def long_writer(tmp_path: Path) -> Iterator[EventWriter]:
    made = EventWriter(tmp_path / "logs", "n")
    yield made
    made.close()


@pytest.mark.parametrize("free_bytes", [0, 1, 6])
def test_a_line_truncated_by_a_full_disk_is_terminated_before_the_next(
    long_writer: EventWriter, disk: Disk, free_bytes: int
) -> None:
    long_writer.write_line(b"before\n")
    disk.free_bytes = free_bytes
    long_writer.write_line(b"lost..\n")
    assert long_writer.lost == 1
    disk.free_bytes = 10**9
    long_writer.write_line(b"after\n")
    (content,) = contents(long_writer)
    incomplete = [b"lost.."[:free_bytes]] if free_bytes else []
    assert content.split(b"\n") == [b"before", *incomplete, b"after", b""]


def test_an_incomplete_line_is_terminated_even_if_the_next_write_is_truncated(
    long_writer: EventWriter, disk: Disk
) -> None:
    disk.free_bytes = 3
    long_writer.write_line(b"first\n")
    disk.free_bytes = 1  # the line end of the incomplete line, and nothing of the next one
    long_writer.write_line(b"second\n")
    disk.free_bytes = 10**9
    long_writer.write_line(b"third\n")
    assert contents(long_writer) == [b"fir\nthird\n"]
    assert long_writer.lost == 2


@pytest.mark.parametrize(("free_bytes", "left"), [(10**9, b"fir\n"), (0, b"fir")])
def test_an_incomplete_line_is_terminated_when_the_file_is_closed_if_the_disk_has_room(
    long_writer: EventWriter, disk: Disk, free_bytes: int, left: bytes
) -> None:
    disk.free_bytes = 3
    long_writer.write_line(b"first\n")
    disk.free_bytes = free_bytes
    long_writer.close()
    disk.free_bytes = 10**9
    long_writer.write_line(b"next\n")
    assert contents(long_writer) == [left, b"next\n"]


def test_a_short_write_is_continued(
    long_writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:4]))
    long_writer.write_line(b"a long line\n")
    assert contents(long_writer) == [b"a long line\n"]
    assert long_writer.lost == 0


def test_running_out_of_file_descriptors_loses_events_and_does_not_raise(
    long_writer: EventWriter,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        long_writer.write({"a": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert long_writer.lost == 1
    long_writer.write({"a": 2})
    assert contents(long_writer) == [b'{"a":2}\n']


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        # A forked process would share its parent's coverage file, and break it.
        env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
    )


def complete_numbers(folder: Path) -> list[int]:
    """The numbers in the complete lines, sorted; at a size limit each file ends with an incomplete one."""
    return sorted(
        orjson.loads(line)["number"]
        for path in folder.iterdir()
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"}\n")
    )


def test_at_a_file_size_limit_of_the_process_a_new_file_starts_and_no_line_is_repeated_or_lost(
    tmp_path: Path,
) -> None:
    run(
        """
        import resource, sys
        from pathlib import Path
        from tidegate.events.event import encode
        from tidegate.events.writer import EventWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        writer = EventWriter(Path(sys.argv[1]), "n")
        events = [{"number": number, "pad": "x" * 100} for number in range(200)]
        for event in events[:100]:
            writer.write(event)
        lines = list(map(encode, events[100:]))
        writer.write_line(b"".join(lines[:90]))
        assert writer.lost == 0, writer.lost
        too_long = {"number": "too long", "pad": "x" * 5000}
        writer.write(too_long)
        assert writer.lost == 1, writer.lost
        writer.write_line(b"".join([*lines[90:], encode(too_long), b"{}\\n"]))
        assert writer.lost == 3, writer.lost
        """,
        tmp_path,
    )
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 4096
    assert complete_numbers(tmp_path) == list(range(200))


def test_lost_counts_each_line_that_a_full_disk_did_not_take_whole(
    long_writer: EventWriter, disk: Disk
) -> None:
    disk.free_bytes = 6
    long_writer.write_line(b"1..\n2..\n3..\n")
    assert long_writer.lost == 2
    disk.free_bytes = 1  # the line end of the incomplete line
    long_writer.write_line(b"4..\n")
    assert long_writer.lost == 3
    assert contents(long_writer) == [b"1..\n2.\n"]


def test_a_forked_child_writes_to_its_own_file(tmp_path: Path) -> None:
    run(
        """
        import os, sys, threading
        from pathlib import Path
        from tidegate.events.writer import EventWriter
        writer = EventWriter(Path(sys.argv[1]), "n", file_bytes=100)
        writer.write({"who": "parent", "n": -1})
        content, release = threading.Event(), threading.Event()
        def hold():
            with writer._lock:
                content.set()
                release.wait()
        threading.Thread(target=hold, daemon=True).start()
        content.wait()
        child = os.fork()  # while another thread holds the lock, which the child does not have
        if child == 0:
            for n in range(20):
                writer.write({"who": "child", "n": n})
            os._exit(writer.lost)
        assert os.waitpid(child, 0)[1] == 0
        release.set()
        for n in range(20):
            writer.write({"who": "parent", "n": n})
        assert writer.lost == 0
        """,
        tmp_path,
    )
    by_process: dict[str, set[str]] = {}
    lines = []
    for path in tmp_path.iterdir():
        for line in path.read_bytes().splitlines():
            event = orjson.loads(line)
            lines.append(event)
            by_process.setdefault(path.name.split(".")[1], set()).add(event["who"])
    assert sorted(by_process.values(), key=str) == [{"child"}, {"parent"}]
    assert len(lines) == 41
