"""Selects the event files to delete: delivered completely, closed, and too old or too large in total."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tidegate.collector.tail import LogFile


def expired(
    files: Iterable[LogFile],
    offsets: Mapping[str, int],
    *,
    now: float,
    keep_seconds: float,
    keep_bytes: int,
) -> list[str]:
    """Return the names of the files to delete, oldest first.

    Args:
        files: The current files.
        offsets: The delivered bytes of each file.
        now: Seconds since 1970.
        keep_seconds: Older files are deleted.
        keep_bytes: The oldest files are deleted while the total size of deletable files is larger.
    """
    done = [file for file in files if file.closed and offsets.get(file.name, 0) >= file.size]
    done.sort(key=lambda file: (file.modified, file.name))
    excess = sum(file.size for file in done) - keep_bytes
    names = []
    for file in done:
        if now - file.modified > keep_seconds or excess > 0:
            names.append(file.name)
            excess -= file.size
    return names
