"""Defects put into production code by hand, each with a seed that finds it: the proof that it can see.

`python -m tests.simulation --defects` looks for the first seed of each.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from tidegate.collector import (
    batch_append,
    delivery,
    lines,
    logstash,
    quarantine,
    retention,
    run,
    tail,
    writer_lock,
)
from tidegate.collector.delivery import Delivery
from tidegate.collector.lines import Chunk, LinePosition
from tidegate.collector.quarantine import Quarantine
from tidegate.collector.tail import Batch, Tail
from tidegate.events.writer import EventWriter
from tidegate.store.base import Rejected, RequestRefusedError, StoreUnavailableError
from tidegate.store.elasticsearch import store
from tidegate.store.elasticsearch.store import ElasticsearchStore

from . import file_defects as more

Patch = Callable[[pytest.MonkeyPatch], None]


class Defect(NamedTuple):
    """What is wrong, a seed that finds it, and how it gets into production code."""

    seed: int
    patch: Patch


def _checkpoint_first(patch: pytest.MonkeyPatch) -> None:
    real = Delivery._deliver

    def deliver(self: Delivery, batch: Batch) -> None:
        self._save(self.tail.progress_with(batch), 0)
        real(self, batch)

    patch.setattr(Delivery, "_deliver", deliver)


def _remembered_first(patch: pytest.MonkeyPatch) -> None:
    real = Delivery._append

    def append(self: Delivery, batch: Batch) -> list[Rejected]:
        self.tail.delivered(batch)
        return real(self, batch)

    patch.setattr(Delivery, "_append", append)


def _ids(make: Callable[[LinePosition, bytes], str]) -> Patch:
    """An event without an id gets another one."""
    real = lines.read_event

    def read_event(position: LinePosition, line: bytes) -> Any:
        found = real(position, line)
        if isinstance(found, dict) and "id" not in orjson.loads(line).get("event", {}):
            found["event"]["id"] = make(position, line)
        return found

    return lambda patch: patch.setattr(lines, "read_event", read_event)


def _id_by_time(patch: pytest.MonkeyPatch) -> None:
    count = iter(range(10**9))
    _ids(lambda *_: f"time-{next(count)}")(patch)


def _quarantine_unsynced(patch: pytest.MonkeyPatch) -> None:
    class NoSync:
        def __getattr__(self, name: str) -> Any:
            return (lambda _: None) if name == "fsync" else getattr(os, name)

    patch.setattr(quarantine, "os", NoSync())


def _quarantine_after_checkpoint(patch: pytest.MonkeyPatch) -> None:
    real_add, real_save = Quarantine.add, Delivery._save
    late: list[Any] = []

    def add(_: Quarantine, found: Sequence[Any]) -> list[Any]:
        late[:] = found
        return list(found)

    def save(self: Delivery, progress: Any, mark: int) -> None:
        real_save(self, progress, mark)
        real_add(self.quarantine, late)

    patch.setattr(Quarantine, "add", add)
    patch.setattr(Delivery, "_save", save)


def _quarantine_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "_load", lambda _: {})


def _quarantine_torn(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Quarantine, "_truncate", lambda *_: None)


def _offset(by: int) -> Patch:
    real = lines.split

    def split(*arguments: Any, **options: Any) -> Chunk:
        chunk = real(*arguments, **options)
        if chunk.events:
            chunk.end += by
        return chunk

    return lambda patch: patch.setattr(tail, "split", split)


def _incomplete_line_delivered(patch: pytest.MonkeyPatch) -> None:
    real = lines.split

    def split(file: str, data: bytes, offset: int, **options: Any) -> Chunk:
        chunk = real(file, data, offset, **options)
        if chunk.end < offset + len(data) and not data.endswith(b"\n"):
            rest = data[chunk.end - offset :]
            if b"\n" not in rest:
                chunk.add(LinePosition(file, chunk.end), rest, options["line_bytes"])
                chunk.end = offset + len(data)
        return chunk

    patch.setattr(tail, "split", split)


def _refused_batch_quarantined(patch: pytest.MonkeyPatch) -> None:
    real = batch_append._append

    def append(sink: Any, events: Sequence[Any], first: int = 0) -> Any:
        try:
            rejected = sink.append(events)
        except RequestRefusedError as error:
            return batch_append._Result(
                [Rejected(first + number, str(error)) for number in range(len(events))], []
            )
        except Exception:  # noqa: BLE001  as before
            return real(sink, events, first)
        return batch_append._Result(list(rejected), [])

    patch.setattr(batch_append, "_append", append)


def _repaired_not_sent(patch: pytest.MonkeyPatch) -> None:
    def append(sink: Any, events: Sequence[Any]) -> list[Rejected]:
        return [] if not events else list(batch_append._append(sink, events).failed)

    patch.setattr(delivery, "append_batch", append)


def _too_large_forgotten(patch: pytest.MonkeyPatch) -> None:
    real = logstash.LogstashSink._post

    def post(self: logstash.LogstashSink, data: bytes) -> tuple[int, str]:
        status, text = real(self, data)
        return (200, text) if status == 413 else (status, text)

    patch.setattr(logstash.LogstashSink, "_post", post)


def _time_out_is_success(patch: pytest.MonkeyPatch) -> None:
    real = logstash.LogstashSink._post

    def post(self: logstash.LogstashSink, data: bytes) -> tuple[int, str]:
        try:
            return real(self, data)
        except StoreUnavailableError:
            return 200, ""

    patch.setattr(logstash.LogstashSink, "_post", post)


def _items(translate: Mapping[int, int]) -> Patch:
    """The statuses of items are read as others."""

    class Translated(dict[str, Any]):
        def __init__(self, item: Mapping[str, Any]) -> None:
            create = item["create"]
            status = translate.get(create["status"], create["status"])
            super().__init__(create={**create, "status": status})

    real = ElasticsearchStore._bulk

    def bulk(self: ElasticsearchStore, found: Any) -> list[Rejected]:
        client = self._client
        answer = client.bulk

        def translated(**options: Any) -> Any:
            response = answer(**options)
            response.body["items"] = [Translated(one) for one in response.body["items"]]
            return response

        client.bulk = translated  # type: ignore[method-assign]
        try:
            return real(self, found)
        finally:
            client.bulk = answer  # type: ignore[method-assign]

    return lambda patch: patch.setattr(ElasticsearchStore, "_bulk", bulk)


def _conflict_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "CONFLICT", 0)


@contextmanager
def _no_lock(path: Path, _: float | None = 0.0) -> Iterator[int]:
    yield 0


def _two_collectors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(run, "exclusive_lock", _no_lock)


def _writers_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer_lock, "try_lock", lambda _: True)
    patch.setattr(tail, "QUIET_SECONDS", 0.0)


def _deleted_undelivered(patch: pytest.MonkeyPatch) -> None:
    real = retention.expired

    def expired(files: Any, _: Any, *rest: Any) -> list[str]:
        known = list(files)
        return real(known, {file.name: file.size for file in known}, *rest)

    patch.setattr(delivery, "expired", expired)
    patch.setattr(writer_lock, "delete", lambda path, _: path.unlink() or True)


def _torn_line_not_ended(patch: pytest.MonkeyPatch) -> None:
    real = EventWriter._append

    def append(self: EventWriter, data: bytes) -> tuple[bytes, int]:
        self._torn = False
        return real(self, data)

    patch.setattr(EventWriter, "_append", append)


def _end_is_size(patch: pytest.MonkeyPatch) -> None:
    real = Tail.progress_with

    def progress(self: Tail, batch: Batch) -> Any:
        made = real(self, batch)
        return replace(made, offsets={**made.offsets, **made.sizes})

    patch.setattr(Tail, "progress_with", progress)


def _long_line_skips_too_far(patch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Chunk] = Tail._too_long

    def too_long(self: Tail, *arguments: Any) -> Chunk:
        *others, end = arguments
        return real(self, *others, end + 1)

    patch.setattr(Tail, "_too_long", too_long)


def _no_last_pass(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Delivery, "has_pending", lambda *_: False)


DEFECTS: dict[str, Defect] = {
    "the checkpoint is written before the acknowledgement": Defect(0, _checkpoint_first),
    "progress is remembered before the acknowledgement": Defect(1, _remembered_first),
    "ids are made of the time": Defect(49, _id_by_time),
    "ids are made of the position alone": Defect(282, _ids(lambda at, _: f"{at.file}-{at.offset}")),
    "the quarantine is not flushed": Defect(39, _quarantine_unsynced),
    "the quarantine is written after the checkpoint": Defect(1, _quarantine_after_checkpoint),
    "the quarantine does not know its lines": Defect(15, _quarantine_twice),
    "an incomplete entry of the quarantine stays": Defect(89, _quarantine_torn),
    "the offset is one byte too high": Defect(0, _offset(1)),
    "an incomplete line is delivered": Defect(510, _incomplete_line_delivered),
    "a refused batch is quarantined, not halved": Defect(15, _refused_batch_quarantined),
    "a repaired event is not sent": Defect(0, _repaired_not_sent),
    "Logstash: 413 is success": Defect(6, _too_large_forgotten),
    "Logstash: no answer is success": Defect(24, _time_out_is_success),
    "Elasticsearch: an item's 503 is success": Defect(675, _items({503: 201})),
    "Elasticsearch: a conflict is a refusal": Defect(2, _conflict_is_refused),
    "two collectors run": Defect(6, _two_collectors),
    "files of writers that live are closed": Defect(1, _writers_ignored),
    "files are deleted before they are delivered": Defect(0, _deleted_undelivered),
    "the writer continues an incomplete line": Defect(0, _torn_line_not_ended),
    "the checkpoint has sizes for offsets": Defect(0, _end_is_size),
    "what follows a line that is too long is skipped": Defect(24, _long_line_skips_too_far),
    "the collector ends without its last pass": Defect(0, _no_last_pass),
    "a full batch skips a line": Defect(0, more.full_batch_skips_a_line),
    "Logstash: after 413 only the first half is sent": Defect(6, more.second_half_not_sent),
    "Logstash: 429 is success": Defect(508, more.busy_logstash_is_success),
    "of a halved batch the right half is not tried": Defect(15, more.right_half_not_tried),
    "a file is deleted one line short": Defect(1, more.deleted_one_line_short),
    "a file is deleted by an old size": Defect(8, more.deleted_by_an_old_size),
    "a file is deleted without its lock": Defect(18, more.deleted_without_the_lock),
    "Elasticsearch: a missing stream is a refusal": Defect(177, more.missing_stream_is_refused),
    "Elasticsearch: no shard left is a refusal": Defect(137, more.no_shard_left_is_refused),
    "files are kept for no time": Defect(0, more.kept_for_no_time),
    "losses are told that are none": Defect(0, more.losses_that_are_none),
    "losses are not told": Defect(17, more.losses_not_told),
    "invalid lines are dropped": Defect(0, more.invalid_lines_dropped),
    "the quarantine is never rotated": Defect(6, more.quarantine_never_rotated),
    "an error of the quarantine is ignored": Defect(275, more.error_of_the_quarantine_ignored),
    "a failed write is not counted": Defect(0, more.failed_write_not_counted),
    "a short write is success": Defect(0, more.short_write_is_success),
    "a failed write counts its whole batch": Defect(916, more.whole_batch_counted_as_lost),
    "a link is read as another file": Defect(288, more.links_read_twice),
    "Elasticsearch: templates are installed once": Defect(332, more.templates_installed_once),
    "the end of what was delivered is not compared": Defect(75, more.ends_not_compared),
    "a file that was cut is not read again": Defect(132, more.cut_file_not_read_again),
    "a clock that has jumped is trusted": Defect(568, more.jumped_clock_trusted),
    "folders are not flushed": Defect(60, more.folders_not_flushed),
    "a commit of the embedded store is not flushed": Defect(530, more.commit_not_flushed),
}


@contextmanager
def built_in(name: str) -> Iterator[None]:
    """Put a defect into production code; without a name it is as it is."""
    with pytest.MonkeyPatch.context() as patch:
        if name:
            DEFECTS[name].patch(patch)
        yield
