"""Stores the lines that no store accepts, each with its file, its offset and the reason."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tidegate.collector.lines import QuarantinedLine
from tidegate.events.event import encode, timestamp
from tidegate.runtime.private_files import open_private_file

# A larger file is rotated; one rotated file is retained.
FILE_BYTES: Final = 64 * 2**20


class Quarantine:
    """`quarantine.ndjson` in the collector's folder."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int], file_bytes: int = FILE_BYTES):
        self._path = folder / "quarantine.ndjson"
        self._clock_ns = clock_ns
        self._file_bytes = file_bytes

    def size(self) -> int:
        """Return its size in bytes."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def truncate(self, size: int) -> None:
        """Remove the entries of an incomplete delivery, which will add them again."""
        if self.size() > size:
            os.truncate(self._path, size)

    def add(self, lines: Sequence[QuarantinedLine]) -> None:
        """Append lines durably.

        Raises:
            OSError: They cannot be written.
        """
        if not lines:
            return
        if self.size() >= self._file_bytes:
            self._path.replace(self._path.with_suffix(".1.ndjson"))
        with open_private_file(self._path, "ab") as file:
            file.writelines(self._entry(line) for line in lines)
            file.flush()
            os.fsync(file.fileno())

    def _entry(self, line: QuarantinedLine) -> bytes:
        return encode(
            {
                "@timestamp": timestamp(self._clock_ns()),
                "file": line.position.file,
                "offset": line.position.offset,
                "bytes": line.size,
                "reason": line.reason,
                "line": line.start.decode("utf-8", "replace"),
            }
        )
