"""Keeps the lines that no store can take, each with its file, its offset and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tidegate.collector.lines import Aside
from tidegate.events import encode, timestamp
from tidegate.runtime.private_files import open_private_file

# Then a new file is begun, and the one before it is the last that is kept.
FILE_BYTES: Final = 64 * 2**20


class Quarantine:
    """`quarantine.ndjson` in the collector's folder."""

    def __init__(self, folder: Path, *, clock_ns: Callable[[], int], file_bytes: int = FILE_BYTES):
        self._path = folder / "quarantine.ndjson"
        self._clock_ns = clock_ns
        self._file_bytes = file_bytes

    def size(self) -> int:
        """Its bytes now."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def forget_beyond(self, size: int) -> None:
        """Drop what a delivery that did not end had set aside: it will set it aside again."""
        if self.size() > size:
            os.truncate(self._path, size)

    def add(self, asides: Sequence[Aside]) -> None:
        """Set lines aside, durably.

        Raises:
            OSError: the disk does not take them.
        """
        if not asides:
            return
        if self.size() >= self._file_bytes:
            self._path.replace(self._path.with_suffix(".1.ndjson"))
        with open_private_file(self._path, "ab") as file:
            file.writelines(self._entry(aside) for aside in asides)
            file.flush()
            os.fsync(file.fileno())

    def _entry(self, aside: Aside) -> bytes:
        return encode(
            {
                "@timestamp": timestamp(self._clock_ns()),
                "file": aside.place.file,
                "offset": aside.place.offset,
                "bytes": aside.size,
                "reason": aside.reason,
                "line": aside.start.decode("utf-8", "replace"),
            }
        )
