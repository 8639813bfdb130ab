"""Stores the lines that no store accepts, each with its file, its offset and the reason.

A line is stored once, however often it is delivered: after a kill, a lost checkpoint or a rebuilt store. For
this it is compared with the last `KNOWN_LINES` of each of the two files.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tidegate.collector.lines import QuarantinedLine
from tidegate.events.event import encode, timestamp
from tidegate.runtime.atomic_files import sync_folder
from tidegate.runtime.private_files import open_private_file

# A larger file is rotated; one rotated file is retained.
FILE_BYTES: Final = 64 * 2**20
# A file of short lines has 400,000 of them, and each takes about 100 bytes of the collector's memory.
KNOWN_LINES: Final = 100_000


class Quarantine:
    """`quarantine.ndjson` in the collector's folder."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int], file_bytes: int = FILE_BYTES):
        self._path = folder / "quarantine.ndjson"
        self._rotated = self._path.with_suffix(".1.ndjson")
        self._clock_ns = clock_ns
        self._file_bytes = file_bytes
        # The last lines of each file, oldest first; None until the first line, so that a start reads nothing.
        self._older: dict[bytes, None] = {}
        self._newer: dict[bytes, None] | None = None

    def add(self, lines: Sequence[QuarantinedLine]) -> list[QuarantinedLine]:
        """Append the lines that are not stored yet, durably, and return them.

        Raises:
            OSError: They cannot be written.
        """
        if not lines:
            return []
        newer = self._load()
        fresh = {
            key: line
            for line in lines
            if (key := _key(self._entry(line))) not in newer and key not in self._older
        }
        if not fresh:
            return []
        if self._size() >= self._file_bytes:
            self._path.replace(self._rotated)
            self._older, newer = newer, {}
            self._newer = newer
        size = self._size()
        try:
            with open_private_file(self._path, "ab") as file:
                file.writelines(encode(self._entry(line)) for line in fresh.values())
                file.flush()
                os.fsync(file.fileno())
            if not size:  # or the checkpoint may be on the disk, and the name of this file not
                sync_folder(self._path.parent)
        except OSError:
            try:
                self._truncate(size)
            except OSError:
                self._newer = None  # the next load removes an entry that is not complete
            raise
        newer.update(dict.fromkeys(fresh))
        if len(newer) > KNOWN_LINES:
            self._newer = dict.fromkeys(islice(newer, len(newer) - KNOWN_LINES, None))
        return list(fresh.values())

    def _load(self) -> dict[bytes, None]:
        if self._newer is None:
            self._older, _ = _read(self._rotated)
            newer, complete = _read(self._path)
            self._truncate(complete)  # an entry whose write was interrupted by a kill
            if complete:  # the checkpoint will rely on these; a killed process may not have flushed
                with open_private_file(self._path, "ab") as file:
                    os.fsync(file.fileno())
                sync_folder(self._path.parent)
            self._newer = newer
        return self._newer

    def _truncate(self, size: int) -> None:
        if self._size() > size:
            with open_private_file(self._path, "ab") as file:
                file.truncate(size)

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def _entry(self, line: QuarantinedLine) -> dict[str, Any]:
        return {
            "@timestamp": timestamp(self._clock_ns()),
            "file": line.position.file,
            "offset": line.position.offset,
            "bytes": line.size,
            "reason": line.reason,
            "line": line.start.decode("utf-8", "replace"),
        }


def _read(path: Path) -> tuple[dict[bytes, None], int]:
    """Return the keys of the last entries of a file, and its size without an incomplete last line."""
    keys: deque[bytes] = deque(maxlen=KNOWN_LINES)
    complete = 0
    try:
        with path.open("rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    break
                complete += len(text)
                # Anything else is not an entry: somebody edited the file.
                with suppress(ValueError, AttributeError):
                    keys.append(_key(json.loads(text)))
    except FileNotFoundError:
        pass
    return dict.fromkeys(keys), complete


def _key(entry: dict[str, Any]) -> bytes:
    """Return a short digest of what identifies a line: its position and its content."""
    parts = [entry.get(name) for name in ("file", "offset", "bytes", "line")]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
