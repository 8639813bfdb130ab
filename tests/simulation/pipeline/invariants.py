"""The invariants that are checked at the calls of the system: checkpoint, deletion, quarantine, files."""

from __future__ import annotations

import orjson

from tidegate.collector import file_names

from ..world.files import FILE, ROOT, Folder, Inode
from ..world.machine import Machine, Process, ViolationError
from .ledger import DELETED, Ledger
from .schedule import STRANGERS, Configuration

DATA = f"{ROOT}/data"
LOGS, COLLECTOR = f"{DATA}/logs", f"{DATA}/collector"
CHECKPOINT, QUARANTINE = f"{COLLECTOR}/checkpoint.json", f"{COLLECTOR}/quarantine.ndjson"
ROTATED = f"{COLLECTOR}/quarantine.1.ndjson"
COLLECTOR_FILES = {"lock", "checkpoint.json", "quarantine.ndjson", "quarantine.1.ndjson"}


class Invariants:
    """What holds for the files of a pipeline."""

    def __init__(
        self, machine: Machine, ledger: Ledger, settings: Configuration, kinds: set[str]
    ) -> None:
        self._machine = machine
        self._files = machine.files
        self._ledger = ledger
        self._settings = settings
        self._entries: set[bytes] = set()
        self._deleted: set[int] = set()
        self._listed: dict[int, tuple[Process, int]] = {}
        self._to_tell: list[tuple[Process, int, Inode]] = []
        self._losses = not kinds.isdisjoint({"power", *STRANGERS})
        # A checkpoint that was lost, or could not be read, does not say what time it was.
        self._jumps = 2 * bool(kinds & {"power", "eio", "emfile", "enospc"})

    def clock_jumped(self) -> None:
        """The clock jumps: one that the collector can compare with its own is not trusted for an hour."""
        self._jumps += 1 if self._files.find(CHECKPOINT) else 2

    def _names(self) -> dict[str, Inode]:
        folder = self._files.find(LOGS)
        return folder.names if isinstance(folder, Folder) else {}

    def listed(self, path: str, inode: Inode) -> None:
        """A process sees a file and its size."""
        if path.startswith(LOGS):
            self._listed[inode.number] = self._machine.process, len(inode.data)

    def removed(self, inode: Inode, name: str = "") -> None:
        """Somebody has deleted an event file; with a name, no other file will have that."""
        self._ledger.removed(inode)
        if file_names.parse(name) and inode.number in self._listed:
            self._to_tell.append((*self._listed[inode.number], inode))

    def cut(self, inode: Inode) -> None:
        """Somebody has cut an event file."""
        self._ledger.cut(inode)

    def check_told(self, told: float) -> None:
        """A loss of so many bytes was reported.

        Raises:
            ViolationError: more was lost of files that a collector knew, or nothing could be.
        """
        if told and not self._losses:
            raise ViolationError(f"{told:.0f} bytes are reported as lost")
        least = sum(
            len(written.line)
            for process, size, inode in self._to_tell
            if not process.dead and inode.number in self._ledger.files
            for written in self._ledger.files[inode.number].events
            if written.end <= size and written.accounted == DELETED and not written.refused
        )
        if told < least:
            raise ViolationError(f"{least} bytes are lost, and {told:.0f} are reported")

    def power_failed(self) -> None:
        linked = {inode.number: inode for inode in self._names().values()}
        for number, file in self._ledger.files.items():
            inode = linked.get(number)
            lost = "the machine lost power before it was on the disk"
            if inode is not None:
                self._ledger.rolled_back(inode, lost)
            elif file.events and (first := file.events[0].inode) is not None:
                self._ledger.lost_content(first, lost, linked=False)

    def is_deleted(self, inode: Inode | None) -> bool:
        """Whether production code has deleted this event file, and no power failure brought it back."""
        return inode is not None and inode.number in self._deleted and not inode.links

    def unlinked(self, path: str, inode: Inode) -> None:
        if path.startswith(LOGS) and inode.kind == FILE and not inode.links:
            self._deleted.add(inode.number)
            self._ledger.all_settled_before(inode, len(inode.data), f"{path} was deleted")
            self._check_age(path, inode)

    def _check_age(self, path: str, inode: Inode) -> None:
        sizes = {one.number: len(one.data) for one in (inode, *self._names().values())}
        if sum(sizes.values()) > self._settings.keep_bytes or self._jumps > 1:
            return
        age = self._machine.monotonic - inode.modified_monotonic
        if age < self._settings.keep_seconds - 10:  # a small jump is trusted
            raise ViolationError(f"{path} was deleted {age:.0f} s after its last write")

    def replaced(self, _: str, target: str) -> None:
        if target != CHECKPOINT:
            return
        self._read_quarantine()
        names = self._names()
        content = orjson.loads(self._files.get(CHECKPOINT).data)
        for name, offset in content["files"].items():
            if (inode := names.get(name)) is not None:
                what = f"the checkpoint of {name} is at {offset}"
                self._ledger.all_settled_before(inode, offset, what)

    def _read_quarantine(self) -> set[int]:
        """Account for the new lines in the quarantine; return the offsets of all, each once."""
        names = self._names()
        found = []
        for line in [*self._lines(ROTATED), *self._lines(QUARANTINE)]:
            if b"\0" in line:
                continue  # not written back before the power failed
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError as failure:
                raise ViolationError(
                    f"the quarantine has an incomplete entry: {line!r}"
                ) from failure
            found.append((entry["file"], entry["offset"], entry["bytes"], entry["line"]))
            if line not in self._entries and (file := names.get(entry["file"])) is not None:
                self._ledger.quarantined(file, entry["offset"], entry["reason"])
            self._entries.add(line)
        if len(set(found)) < len(found):
            raise ViolationError(f"a line is in the quarantine twice: {found}")
        return {offset for _, offset, *_ in found}

    def _lines(self, path: str) -> list[bytes]:
        """The lines of a file; the last may be incomplete until the next is added.

        Raises:
            ViolationError: it was too large before the last batch was added.
        """
        inode = self._files.find(path)
        lines = [] if inode is None else bytes(inode.data).split(b"\n")[:-1]
        before = sum(len(line) + 1 for line in lines[: -self._settings.batch_events])
        if before >= self._settings.quarantine_bytes:
            raise ViolationError(f"{path} has {before} bytes and is not rotated")
        return lines

    def files_left(self) -> str:
        """What is there in the end and should not be."""
        folder = self._files.find(COLLECTOR)
        if isinstance(folder, Folder) and (left := folder.names.keys() - COLLECTOR_FILES):
            return f"files are left in the collector's folder: {sorted(left)}"
        closed = [
            len(inode.data)
            for name, inode in self._names().items()
            if file_names.parse(name)
            and inode.kind == FILE
            and inode.links == 1
            and not inode.locks
        ]
        if sum(closed) > self._settings.keep_bytes:
            return f"delivered files have {sum(closed)} bytes in the end"
        return ""

    def check_quarantine(self) -> None:
        """What was quarantined is there, unless the file was rotated, which keeps one older."""
        offsets = self._read_quarantine()
        if self._files.find(ROTATED) is not None:
            return
        for written in self._ledger.written.values():
            if written.accounted == "quarantined" and (
                written.end - len(written.line) not in offsets
            ):
                raise ViolationError(f"{written.key} is not in the quarantine any more")
