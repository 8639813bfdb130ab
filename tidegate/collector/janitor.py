"""Decides which event files may go: delivered to their end, closed, and too old or too many."""

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
    """The names of the files to delete, oldest first.

    Args:
        files: as they are now.
        offsets: how far each was delivered.
        now: seconds since 1970.
        keep_seconds: older ones go.
        keep_bytes: the oldest go while all that could go are larger together.
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
