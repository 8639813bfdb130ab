"""What was promised, and what became of it: the invariants of the event pipeline.

An event is promised when the call that writes it has returned without counting it as lost. From then on it is
on its way, or accounted for: stored, quarantined for a reason, or lost in a way that the documentation names.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..world.files import Inode
from ..world.machine import ViolationError

QUEUED = "queued"
DELETED = "its file was deleted"
IN_A_BATCH = ("", QUEUED, "stored", "quarantined")


@dataclass(slots=True, eq=False)
class Written:
    """An event that a writer has tried to write.

    Attributes:
        key: What identifies it, whatever id it is stored under.
        refused: Whether the sink never accepts it, so that it belongs into the quarantine.
        began: When the call that writes it began.
        promised: Whether that call has returned.
        accounted: How it ended; empty while it is on its way.
        inode: The file that it is in; None if that is not known.
        end: The offset after its line.
    """

    key: str
    line: bytes
    began: float
    refused: bool = False
    promised: bool = False
    accounted: str = ""
    stored_as: str = ""
    inode: Inode | None = None
    end: int = 0


@dataclass(slots=True, eq=False)
class FileOfEvents:
    """The promised events of a file, in order, and how many of the first are accounted for."""

    events: list[Written] = field(default_factory=list)
    done: int = 0

    def settled(self) -> int:
        """The number of events from the start that are all accounted for."""
        while self.done < len(self.events) and self.events[self.done].accounted:
            self.done += 1
        return self.done


def key_of(event: dict[str, Any]) -> str:
    """What identifies an event: its text if a test's writer has numbered it, else the id in its line."""
    message = event.get("message")
    return message if isinstance(message, str) and message[:1] == "#" else event["event"]["id"]


class Ledger:
    """All events of a simulation, and the lines that are none.

    A writer notices within `notice_seconds` that its file was deleted; the clock is one that nobody sets.
    """

    def __init__(
        self, batch_events: int, clock: Callable[[], float], notice_seconds: float
    ) -> None:
        self._batch_events = batch_events
        self._clock = clock
        self._notice_seconds = notice_seconds
        self.written: dict[str, Written] = {}
        self.files: dict[int, FileOfEvents] = {}
        self._gone: dict[int, float] = {}
        self._touched: set[int] = set()
        self._cut: dict[int, int] = {}

    def attempt(self, key: str, line: bytes, *, refused: bool = False) -> Written:
        """An event, or a line that is none and `refused`, is about to be written."""
        written = self.written[key] = Written(key, line, self._clock(), refused)
        return written

    def returned(self, written: Sequence[Written], inode: Inode | None) -> None:
        """The call that wrote these lines into a file, one after the other, has returned.

        Raises:
            ViolationError: the file does not have one of them, and nobody has cut it.
        """
        ends = list[int]()
        limit = len(inode.data) if inode else 0
        for one in reversed(written):
            start = inode.data.rfind(one.line, 0, limit) if inode else -1
            ends.append(start + len(one.line) if start >= 0 else 0)
            limit = max(0, start)
            if start < 0 and (inode is None or inode.number not in self._touched):
                raise ViolationError(f"{one.key} is written, and is not in the file")
        for one, end in zip(written, reversed(ends), strict=True):
            if end and inode is not None:
                self._promise(one, inode, end)

    def failed(self, written: Sequence[Written], inode: Inode | None) -> None:
        """The call has counted these lines as lost.

        Raises:
            ViolationError: the file has one of them.
        """
        for one in written:
            if inode is not None and one.line in inode.data:
                raise ViolationError(f"{one.key} is counted as lost, and is in the file")

    def _promise(self, written: Written, inode: Inode, end: int) -> None:
        written.promised, written.inode, written.end = True, inode, end
        gone = self._gone.get(inode.number)
        if gone is not None:
            if written.began > gone + self._notice_seconds:
                raise ViolationError(f"{written.key} is written to a file that was long deleted")
            written.accounted = written.accounted or "its file had been deleted"
        if self._cut.pop(inode.number, -1) == end - len(written.line):
            written.accounted = written.accounted or "it follows a line that had been cut"
        self.files.setdefault(inode.number, FileOfEvents()).events.append(written)

    def stored(self, identity: str, event: dict[str, Any]) -> None:
        """The sink has taken an event under an id that it did not have.

        Raises:
            ViolationError: nobody wrote it, it is stored for the second time, or before the events of an
                earlier batch of its file.
        """
        written = self.written.get(key_of(event))
        if written is None:
            raise ViolationError(f"an event is stored that nobody wrote: {event}")
        if written.stored_as:
            raise ViolationError(
                f"doubled: {written.key} is stored as {written.stored_as} and as {identity}"
            )
        if event.get("@timestamp") != orjson.loads(written.line).get("@timestamp"):
            raise ViolationError(f"changed: {written.key} is stored as {event}")
        written.stored_as, written.accounted = identity, "stored"
        self._in_order(written)

    def stored_as(self, identities: Container[str]) -> list[Written]:
        """The events that are stored under these ids."""
        return [one for one in self.written.values() if one.stored_as in identities]

    def unstored(self, written: Written) -> None:
        """The sink does not have it any more, because the machine lost power: it is on its way again."""
        written.stored_as = written.accounted = ""
        if written.inode is not None:
            self.files[written.inode.number].done = 0
            if written.inode.number in self._gone:
                written.accounted = DELETED

    def queued(self, event: dict[str, Any]) -> None:
        """The sink has acknowledged it, and will store it.

        Raises:
            ViolationError: as of `stored`.
        """
        written = self.written.get(key_of(event))
        if written is None:
            raise ViolationError(f"an event is queued that nobody wrote: {event}")
        written.accounted = written.accounted or QUEUED
        self._in_order(written)

    def _in_order(self, written: Written) -> None:
        if not written.promised or written.inode is None:
            return
        file = self.files[written.inode.number]
        # What a power failure or somebody took is in no batch.
        there = [one for one in file.events[file.settled() :] if one.accounted in IN_A_BATCH]
        batch = there[: self._batch_events]
        if batch and written.end > max(one.end for one in batch):
            raise ViolationError(
                f"order: {written.key} is delivered and {batch[0].key} of its file is not"
            )

    def quarantined(self, inode: Inode, offset: int, reason: str) -> None:
        """A line at an offset of a file is in the quarantine.

        Raises:
            ViolationError: it is an event that the sink would accept.
        """
        for written in self.files.get(inode.number, FileOfEvents()).events:
            torn = inode.data[offset : written.end] != written.line
            if written.end - len(written.line) != offset or torn:
                continue
            if not written.refused and written.accounted in ("", QUEUED, "stored"):
                raise ViolationError(f"{written.key} is quarantined: {reason}")
            written.accounted = written.accounted or "quarantined"

    def lost_content(self, inode: Inode, why: str, *, linked: bool = True) -> None:
        """The content of a file has changed from outside: what it no longer has is excused."""
        for written in self.files.get(inode.number, FileOfEvents()).events:
            start = written.end - len(written.line)
            there = linked and inode.data[start : written.end] == written.line
            there = there and (not start or inode.data[start - 1] == 0x0A)  # else a part of a line
            if not there and not written.accounted:
                written.accounted = why

    def rolled_back(self, inode: Inode, why: str) -> None:
        """A file is there after a power failure, perhaps shorter, or again."""
        self._gone.pop(inode.number, None)
        self._touched.add(inode.number)
        self.lost_content(inode, why)

    def removed(self, inode: Inode) -> None:
        """Somebody has deleted a file: what was not delivered is excused, and what is written until its
        writer notices.
        """
        self._gone.setdefault(inode.number, self._clock())
        self.lost_content(inode, DELETED, linked=False)

    def cut(self, inode: Inode) -> None:
        """Somebody has cut a file, perhaps in a line: the next event then is a part of that."""
        self._touched.add(inode.number)
        if inode.data and inode.data[-1] != 0x0A:
            self._cut[inode.number] = len(inode.data)
        self.lost_content(inode, "its file was cut")

    def all_settled_before(self, inode: Inode, offset: int, what: str) -> None:
        """The pipeline relies on all lines before an offset being delivered.

        Raises:
            ViolationError: one is not.
        """
        file = self.files.get(inode.number)
        # An offset in a file that was cut is one of what it contained before, which the end of a run tells.
        if file is None or inode.number in self._touched:
            return
        for written in file.events[file.settled() :]:
            if written.end > offset:
                break
            if not written.accounted:
                raise ViolationError(f"{what}, and {written.key} before that is not delivered")

    def missing(self) -> list[Written]:
        """The promised events that are on their way."""
        return [
            one for one in self.written.values() if one.promised and one.accounted in ("", QUEUED)
        ]
