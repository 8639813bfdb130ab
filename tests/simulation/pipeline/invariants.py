"""The invariants that are checked at the calls of the system: checkpoint, deletion, quarantine, files."""

from __future__ import annotations

import orjson

from tidegate.collector import file_names

from ..world.files import FILE, ROOT, FileSystem, Folder, Inode
from ..world.machine import ViolationError
from .ledger import Ledger

DATA = f"{ROOT}/data"
LOGS, COLLECTOR = f"{DATA}/logs", f"{DATA}/collector"
CHECKPOINT, QUARANTINE = f"{COLLECTOR}/checkpoint.json", f"{COLLECTOR}/quarantine.ndjson"
ROTATED = f"{COLLECTOR}/quarantine.1.ndjson"
COLLECTOR_FILES = {"lock", "checkpoint.json", "quarantine.ndjson", "quarantine.1.ndjson"}


class Invariants:
    """What holds for the files of a pipeline; `keep_bytes` is the setting of the collector."""

    def __init__(self, files: FileSystem, ledger: Ledger, keep_bytes: int) -> None:
        self._files = files
        self._ledger = ledger
        self._keep_bytes = keep_bytes
        self._entries: set[bytes] = set()

    def _names(self) -> dict[str, Inode]:
        folder = self._files.find(LOGS)
        return folder.names if isinstance(folder, Folder) else {}

    def power_failed(self) -> None:
        linked = {inode.number: inode for inode in self._names().values()}
        for number, file in self._ledger.files.items():
            inode = linked.get(number)
            lost = "the machine lost power before it was on the disk"
            if inode is not None:
                self._ledger.lost_content(inode, lost)
            elif file.events and (first := file.events[0].inode) is not None:
                self._ledger.lost_content(first, lost, linked=False)

    def unlinked(self, path: str, inode: Inode) -> None:
        if path.startswith(LOGS) and inode.kind == FILE and not inode.links:
            self._ledger.all_settled_before(inode, len(inode.data), f"{path} was deleted")

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
        inode = self._files.find(QUARANTINE)
        content = b"" if inode is None else bytes(inode.data)
        names = self._names()
        found = []
        for line in content.split(b"\n")[:-1]:  # the last may be torn until the next is added
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
        if sum(closed) > self._keep_bytes:
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
