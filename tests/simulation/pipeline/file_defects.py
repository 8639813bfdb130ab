"""Defects put by hand into how files are read, written and deleted, and into what is sent again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest

from tidegate.collector import (
    batch_append,
    delivery,
    file_names,
    lines,
    logstash,
    losses,
    quarantine,
    retention,
    tail,
    writer_lock,
)
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.tail import Tail
from tidegate.events.writer import EventWriter
from tidegate.runtime import atomic_files
from tidegate.store.base import Rejected, StoreUnavailableError
from tidegate.store.elasticsearch import store
from tidegate.store.embedded import store as embedded


def full_batch_skips_a_line(patch: pytest.MonkeyPatch) -> None:
    real = lines.split

    def split(file: str, data: bytes, offset: int, *, max_lines: int, line_bytes: int) -> Any:
        chunk = real(file, data, offset, max_lines=max_lines, line_bytes=line_bytes)
        following = data.find(b"\n", chunk.end - offset)
        if len(chunk.events) + len(chunk.quarantined) == max_lines and following >= 0:
            chunk.end = offset + following + 1
        return chunk

    patch.setattr(tail, "split", split)


def folders_not_flushed(patch: pytest.MonkeyPatch) -> None:
    for module in (atomic_files, embedded, quarantine):
        patch.setattr(module, "sync_folder", lambda _: None)


def commit_not_flushed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(embedded, "sync_folder", lambda _: None)


def missing_stream_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "TRANSIENT", frozenset({401, 403, 408, 429}))


def no_shard_left_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "NO_SHARD_LEFT", re.compile("never"))


def templates_installed_once(patch: pytest.MonkeyPatch) -> None:
    real = store.ElasticsearchStore._install
    done = WeakSet[store.ElasticsearchStore]()

    def install(self: store.ElasticsearchStore) -> None:
        if self not in done:
            real(self)
            done.add(self)

    patch.setattr(store.ElasticsearchStore, "_install", install)


def second_half_not_sent(patch: pytest.MonkeyPatch) -> None:
    real = logstash.LogstashSink._send

    def send(self: logstash.LogstashSink, found: Any) -> Any:
        if len(found) > 1 and self._post(b"".join(one.data for one in found))[0] == 413:
            return self._send(found[: len(found) // 2])
        return real(self, found)

    patch.setattr(logstash.LogstashSink, "_send", send)


def busy_logstash_is_success(patch: pytest.MonkeyPatch) -> None:
    real = logstash.LogstashSink._post

    def post(self: logstash.LogstashSink, data: bytes) -> tuple[int, str]:
        status, text = real(self, data)
        return (200, "") if status == 429 else (status, text)

    patch.setattr(logstash.LogstashSink, "_post", post)


def right_half_not_tried(patch: pytest.MonkeyPatch) -> None:
    def append(sink: Any, events: Sequence[Any], first: int = 0) -> Any:
        try:
            rejected = sink.append(events)
        except (StoreUnavailableError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  as the function that it replaces
            if len(events) == 1:
                return batch_append._Result([], [Rejected(first, str(error))])
            return append(sink, events[: len(events) // 2], first)
        return batch_append._Result(
            [Rejected(first + one.index, one.reason) for one in rejected], []
        )

    patch.setattr(batch_append, "_append", append)


def deleted_one_line_short(patch: pytest.MonkeyPatch) -> None:
    real = retention.expired

    def expired(files: Any, offsets: Any, *rest: Any) -> list[str]:
        return real(files, {name: offset + 400 for name, offset in offsets.items()}, *rest)

    patch.setattr(delivery, "expired", expired)
    patch.setattr(writer_lock, "delete", lambda path, _: path.unlink() or True)


def deleted_by_an_old_size(patch: pytest.MonkeyPatch) -> None:
    real = writer_lock.delete
    patch.setattr(writer_lock, "delete", lambda path, _: real(path, 10**9))


def deleted_without_the_lock(patch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def locked(path: Path) -> Iterator[bool]:
        with writer_lock.opened(path):
            yield True

    patch.setattr(writer_lock, "_locked", locked)


def ends_not_compared(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Tail, "_start", lambda self, _, name: self.offsets.get(name, 0))


def losses_not_told(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(tail, "losses", lambda *_: [])


def losses_that_are_none(patch: pytest.MonkeyPatch) -> None:
    real = losses.losses
    patch.setattr(tail, "losses", lambda known, found, _: real(known, found, {}))


def short_write_is_success(patch: pytest.MonkeyPatch) -> None:
    def append(self: EventWriter, data: bytes) -> tuple[bytes, int]:
        data = b"\n" + data if self._torn else data
        written = os.write(self._fd, data)
        self._size += written
        self._torn = data[written - 1] != 10
        return b"", 0

    patch.setattr(EventWriter, "_append", append)


def failed_write_not_counted(patch: pytest.MonkeyPatch) -> None:
    real = EventWriter._append

    def append(self: EventWriter, data: bytes) -> tuple[bytes, int]:
        real(self, data)
        return b"", 0

    patch.setattr(EventWriter, "_append", append)


def whole_batch_counted_as_lost(patch: pytest.MonkeyPatch) -> None:
    real = EventWriter._append

    def append(self: EventWriter, data: bytes) -> tuple[bytes, int]:
        rest, number = real(self, data)
        return (data, number) if number else (rest, number)

    patch.setattr(EventWriter, "_append", append)


def quarantine_never_rotated(patch: pytest.MonkeyPatch) -> None:
    real = Quarantine.add

    def add(self: Quarantine, found: Any) -> Any:
        self._file_bytes = 10**12
        return real(self, found)

    patch.setattr(Quarantine, "add", add)


def error_of_the_quarantine_ignored(patch: pytest.MonkeyPatch) -> None:
    real = Quarantine.add

    def add(self: Quarantine, found: Any) -> Any:
        try:
            return real(self, found)
        except OSError:
            return []

    patch.setattr(Quarantine, "add", add)


def invalid_lines_dropped(patch: pytest.MonkeyPatch) -> None:
    def add(self: lines.Chunk, position: Any, line: bytes, _: int) -> None:
        event = lines.read_event(position, line)
        if isinstance(event, dict):
            self.events.append((position, event))

    patch.setattr(lines.Chunk, "add", add)


def kept_for_no_time(patch: pytest.MonkeyPatch) -> None:
    real = retention.expired
    nothing = retention.Retention(-1e9, 0)
    patch.setattr(
        delivery, "expired", lambda files, offsets, _, now: real(files, offsets, nothing, now)
    )


def jumped_clock_trusted(patch: pytest.MonkeyPatch) -> None:
    def read(self: retention.SteadyClock, clock: float) -> float:
        self.now = clock
        return clock

    patch.setattr(retention.SteadyClock, "read", read)


def cut_file_not_read_again(patch: pytest.MonkeyPatch) -> None:
    real = Tail._read_again

    def again(self: Tail, name: str, how: str) -> None:
        if how != "truncated":
            real(self, name, how)

    patch.setattr(Tail, "_read_again", again)


def links_read_twice(patch: pytest.MonkeyPatch) -> None:
    def found(self: Tail) -> dict[str, os.stat_result]:
        with os.scandir(self.folder) as entries:
            names = [one for one in entries if one.name.endswith(file_names.SUFFIX)]
            return {one.name: one.stat() for one in names if one.is_file()}

    patch.setattr(Tail, "_list", found)
