"""Stores the lines that no store accepts, each with its file, its offset and the reason.

A line is stored once, however often it is delivered: after a kill, a lost checkpoint or a rebuilt store.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tidegate.collector.lines import QuarantinedLine
from tidegate.events.event import encode, timestamp
from tidegate.runtime.private_files import open_private_file

# A larger file is rotated; one rotated file is retained.
FILE_BYTES: Final = 64 * 2**20


class Quarantine:
    """`quarantine.ndjson` in the collector's folder."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int], file_bytes: int = FILE_BYTES):
        self._path = folder / "quarantine.ndjson"
        self._rotated = self._path.with_suffix(".1.ndjson")
        self._clock_ns = clock_ns
        self._file_bytes = file_bytes
        # The lines of both files, and of the newer one; None until the first line, so that a start reads
        # nothing.
        self._older: set[bytes] = set()
        self._newer: set[bytes] | None = None

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
        # Unknown until all is written: an entry that is not complete is removed by the next load.
        self._newer = None
        if self._size() >= self._file_bytes:
            self._path.replace(self._rotated)
            self._older, newer = newer, set()
        with open_private_file(self._path, "ab") as file:
            file.writelines(encode(self._entry(line)) for line in fresh.values())
            file.flush()
            os.fsync(file.fileno())
        self._newer = newer | fresh.keys()
        return list(fresh.values())

    def _load(self) -> set[bytes]:
        if self._newer is None:
            self._older, _ = _read(self._rotated)
            self._newer, complete = _read(self._path)
            # Remove an entry whose write was interrupted by a kill or a full disk.
            if self._size() > complete:
                with open_private_file(self._path, "ab") as file:
                    file.truncate(complete)
        return self._newer

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


def _read(path: Path) -> tuple[set[bytes], int]:
    """Return the keys of the entries of a file, and its size without an incomplete last line."""
    keys: set[bytes] = set()
    complete = 0
    try:
        with path.open("rb") as file:
            for text in file:
                if not text.endswith(b"\n"):
                    break
                complete += len(text)
                # Anything else is not an entry: somebody edited the file.
                with suppress(ValueError, AttributeError):
                    keys.add(_key(json.loads(text)))
    except FileNotFoundError:
        pass
    return keys, complete


def _key(entry: dict[str, Any]) -> bytes:
    """Return a short digest of what identifies a line: its position and its content."""
    parts = [entry.get(name) for name in ("file", "offset", "bytes", "line")]
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).digest()
