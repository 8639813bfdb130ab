from __future__ import annotations

import errno
import math
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import events
from tidegate.events import EventWriter, Origin, encode, make_event, new_event_id, timestamp

ORIGIN = Origin("flights", "1", "local", "flights-1", "default")
START_NS = 1_700_000_000_123_456_789


@pytest.mark.parametrize(
    ("unix_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (START_NS, "2023-11-14T22:13:20.123456Z"),
        (START_NS + 10**9, "2023-11-14T22:13:21.123456Z"),
        (1_700_000_000_999_999_999, "2023-11-14T22:13:20.999999Z"),
    ],
)
def test_a_timestamp_is_utc_with_microseconds_cut_off(unix_ns: int, text: str) -> None:
    assert timestamp(unix_ns) == text


def test_an_event_has_every_field_that_a_line_must_have() -> None:
    event = make_event(ORIGIN, "request", "hello", unix_ns=START_NS, event_id="x")
    assert event == {
        "@timestamp": "2023-11-14T22:13:20.123456Z",
        "message": "hello",
        "log": {"level": "info"},
        "ecs": {"version": events.ECS_VERSION},
        "event": {"id": "x", "dataset": "tidegate.request"},
        "service": {
            "name": "flights",
            "version": "1",
            "environment": "local",
            "node": {"name": "flights-1"},
        },
        "data_stream": {"type": "logs", "dataset": "tidegate.request", "namespace": "default"},
    }


def test_further_fields_are_merged_over_the_standard_ones() -> None:
    fields = {"event": {"action": "request"}, "message": "other", "tidegate": {"rows": 1}}
    event = make_event(ORIGIN, "span", "m", unix_ns=0, stream="traces", level="warn", fields=fields)
    assert event["event"]["dataset"] == "tidegate.span"
    assert event["event"]["action"] == "request"
    assert event["message"] == "other"
    assert event["tidegate"] == {"rows": 1}
    assert event["data_stream"]["type"] == "traces"
    assert event["log"] == {"level": "warn"}


def test_event_ids_are_unique() -> None:
    ids = {new_event_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(one) for one in ids} == {32}


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (math.nan, None),
        (math.inf, None),
        (np.float64("nan"), None),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([1.0, math.inf]), [1.0, None]),
        ({1: "a", None: "b", 2.5: "d"}, {"1": "a", "null": "b", "2.5": "d"}),
        ({(1, 2): 3}, {"(1, 2)": 3}),
        ({b"\xff": 3}, {"\ufffd": 3}),
        ("a\ud800b", "a?b"),
        ({"\ud800": 1}, {"?": 1}),
        ("two\nlines", "two\nlines"),
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        (-(2**63), -(2**63)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (b"caf\xc3\xa9\xff", "café\ufffd"),
        ({7}, [7]),
        (MappingProxyType({"a": MappingProxyType({"b": 1})}), {"a": {"b": 1}}),
        (Path("/x"), "/x"),
        ([Mute(), "\ud800", (1, None, True, 0.5)], ["<Mute>", "?", [1, None, True, 0.5]]),
    ],
)
def test_whatever_an_event_holds_becomes_json(value: Any, written: Any) -> None:
    line = encode({"value": value})
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert orjson.loads(line) == {"value": written}


def test_an_event_that_holds_itself_ends() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["self"] = [loop, loop]
    assert orjson.loads(encode(loop)) == {"a": 1, "self": ["…", "…"]}


def test_an_event_that_goes_too_deep_is_cut() -> None:
    deep: list[Any] = []
    for _ in range(2000):
        deep = [deep]
    assert "…" in orjson.loads(encode({"deep": deep, "rest": 1})).__repr__()


json_like = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary(),
    lambda held: st.lists(held) | st.dictionaries(st.text() | st.integers(), held),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters()), json_like))
def test_every_event_is_one_line_of_json(event: dict[str, Any]) -> None:
    line = encode(event)
    assert line.count(b"\n") == 1
    assert isinstance(orjson.loads(line), dict)


class Clock:
    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(tmp_path: Path, clock: Clock) -> Iterator[EventWriter]:
    made = EventWriter(tmp_path / "logs", "flights-1", file_bytes=200, clock_ns=clock)
    yield made
    made.close()


def files(writer: EventWriter) -> list[Path]:
    return sorted(writer.directory.iterdir(), key=lambda path: int(path.name.split(".")[-2]))


def contents(writer: EventWriter) -> list[bytes]:
    return [path.read_bytes() for path in files(writer)]


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


def test_nothing_is_opened_before_the_first_event(writer: EventWriter) -> None:
    assert files(writer) == []


def test_a_line_is_in_the_file_when_write_returns(writer: EventWriter) -> None:
    for n in range(3):
        writer.write_line(b"%d\n" % n)
        assert contents(writer)[-1].endswith(b"%d\n" % n)


def test_a_full_file_is_closed_and_the_next_begun(writer: EventWriter) -> None:
    for _ in range(5):
        writer.write_line(b"x" * 99 + b"\n")
    assert [len(held) for held in contents(writer)] == [200, 200, 100]


def test_a_line_longer_than_a_file_has_one_of_its_own(writer: EventWriter) -> None:
    writer.write_line(b"a\n")
    writer.write_line(b"x" * 500 + b"\n")
    writer.write_line(b"b\n")
    assert [len(held) for held in contents(writer)] == [2, 501, 2]


def test_an_old_file_is_closed_and_the_next_begun(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    clock.now_ns += int(3600 * 1e9)
    writer.write_line(b"b\n")
    clock.now_ns += 1
    writer.write_line(b"c\n")
    assert contents(writer) == [b"a\nb\n", b"c\n"]


def test_a_clock_that_goes_back_rotates_nothing(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    clock.now_ns -= 10**12
    writer.write_line(b"b\n")
    assert contents(writer) == [b"a\nb\n"]


def test_two_writers_of_one_name_never_share_a_file(tmp_path: Path, clock: Clock) -> None:
    writers = [EventWriter(tmp_path, "n", clock_ns=clock) for _ in range(3)]
    for turn in range(2):
        for number, one in enumerate(writers):
            one.write_line(b"%d%d\n" % (number, turn))
        for one in writers:
            one.close()
    assert sum(one.lost for one in writers) == 0
    lines = [path.read_bytes() for path in tmp_path.iterdir()]
    assert sorted(lines) == [b"00\n", b"01\n", b"10\n", b"11\n", b"20\n", b"21\n"]


def test_a_folder_that_was_deleted_is_made_again(writer: EventWriter, clock: Clock) -> None:
    writer.write_line(b"a\n")
    (path,) = files(writer)
    path.unlink()
    writer.directory.rmdir()
    clock.now_ns += 10**9
    writer.write_line(b"b\n")
    assert contents(writer) == [b"b\n"]
    assert writer.lost == 0


def test_a_folder_that_cannot_be_made_loses_events_and_no_caller(
    writer: EventWriter, tmp_path: Path
) -> None:
    writer.directory.rmdir()
    writer.directory.write_bytes(b"a file in its place")
    writer.write({"a": 1})
    assert writer.lost == 1
    writer.directory.unlink()
    writer.write({"a": 2})
    assert contents(writer) == [b'{"a":2}\n']


def test_threads_never_mix_their_lines(tmp_path: Path) -> None:
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


def test_a_signal_handler_may_write_while_a_write_is_under_way(
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


class Disk:
    """Stands between the writer and the kernel, as a disk with so many bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = 10**9
        self.code = errno.ENOSPC
        self._write: Callable[[int, bytes], int] = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, fd: int, data: bytes) -> int:
        if self.room == 0:
            raise OSError(self.code, os.strerror(self.code))
        count = self._write(fd, data[: self.room])
        self.room -= count
        return count


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


@pytest.fixture
def long_writer(tmp_path: Path) -> Iterator[EventWriter]:
    made = EventWriter(tmp_path / "logs", "n")
    yield made
    made.close()


@pytest.mark.parametrize("room", range(7))
def test_a_line_that_a_full_disk_cut_stands_alone(
    long_writer: EventWriter, disk: Disk, room: int
) -> None:
    long_writer.write_line(b"before\n")
    disk.room = room
    long_writer.write_line(b"lost..\n")
    assert long_writer.lost == (0 if room == 7 else 1)
    disk.room = 10**9
    long_writer.write_line(b"after\n")
    (held,) = contents(long_writer)
    torso = [b"lost.."[:room]] if room else []
    assert held.split(b"\n") == [b"before", *torso, b"after", b""]


def test_a_torso_is_ended_even_if_that_too_is_cut(long_writer: EventWriter, disk: Disk) -> None:
    disk.room = 3
    long_writer.write_line(b"first\n")
    disk.room = 1  # the line end of the torso, and nothing of the next line
    long_writer.write_line(b"second\n")
    disk.room = 10**9
    long_writer.write_line(b"third\n")
    assert contents(long_writer) == [b"fir\nthird\n"]
    assert long_writer.lost == 2


def test_a_torso_is_ended_when_the_file_is_closed(long_writer: EventWriter, disk: Disk) -> None:
    disk.room = 3
    long_writer.write_line(b"first\n")
    disk.room = 10**9
    long_writer.close()
    assert contents(long_writer) == [b"fir\n"]


def test_a_close_on_a_full_disk_fails_nobody(long_writer: EventWriter, disk: Disk) -> None:
    disk.room = 3
    long_writer.write_line(b"first\n")
    long_writer.close()
    disk.room = 10**9
    long_writer.write_line(b"next\n")
    assert contents(long_writer) == [b"fir", b"next\n"]


def test_a_write_that_the_kernel_cuts_short_goes_on(
    long_writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real_write(fd, data[:4]))
    long_writer.write_line(b"a long line\n")
    assert contents(long_writer) == [b"a long line\n"]
    assert long_writer.lost == 0


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


def test_a_limit_on_the_size_of_files_begins_the_next(tmp_path: Path) -> None:
    run(
        """
        import resource, sys
        from pathlib import Path
        from tidegate.events import EventWriter
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        writer = EventWriter(Path(sys.argv[1]), "n")
        for number in range(100):
            writer.write({"number": number, "pad": "x" * 100})
        writer.write({"number": "too long", "pad": "x" * 5000})
        assert writer.lost == 1, writer.lost
        """,
        tmp_path,
    )
    assert max(path.stat().st_size for path in tmp_path.iterdir()) <= 4096
    numbers = [
        orjson.loads(line)["number"]
        for path in tmp_path.iterdir()
        for line in path.read_bytes().splitlines(keepends=True)
        if line.endswith(b"}\n")  # a torso at the end of each file, and the lines before it
    ]
    assert sorted(numbers) == list(range(100))


def test_a_device_that_is_always_full_loses_events_and_no_caller(
    long_writer: EventWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda *_: real_open("/dev/full", os.O_WRONLY))
    for _ in range(3):
        long_writer.write({"a": 1})
    assert long_writer.lost == 3


def test_running_out_of_file_descriptors_loses_events_and_no_caller(
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


def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    run(
        """
        import os, sys, threading
        from pathlib import Path
        from tidegate.events import EventWriter
        writer = EventWriter(Path(sys.argv[1]), "n", file_bytes=100)
        writer.write({"who": "parent", "n": -1})
        held, release = threading.Event(), threading.Event()
        def hold():
            with writer._lock:
                held.set()
                release.wait()
        threading.Thread(target=hold, daemon=True).start()
        held.wait()
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


def test_a_killed_process_leaves_every_line_it_had_finished(tmp_path: Path) -> None:
    script = """
        import sys
        from pathlib import Path
        from tidegate.events import EventWriter
        writer = EventWriter(Path(sys.argv[1]), "n", file_bytes=10_000)
        n = 0
        while True:
            writer.write({"n": n, "pad": "x" * 300})
            sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
            n += 1
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        deadline = time.monotonic() + 30
        while int(process.stdout.readline()) < 100:
            assert time.monotonic() < deadline
        process.kill()
        told = [int(line) for line in process.stdout.read().split("\n")[:-1]]
    finished = max([100, *told])
    lines = [line for path in tmp_path.iterdir() for line in path.read_bytes().splitlines()]
    written = {orjson.loads(line)["n"] for line in lines}
    assert written >= set(range(finished + 1))
