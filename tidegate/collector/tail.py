"""Follows the event files of a folder, by name and offset.

Files only grow, have unique names and are never renamed, so a name and an offset identify what was read. A
file that somebody replaced or emptied all the same is recognised by its inode, its size, and the last bytes
before the offset. No file stays open between two scans, and at most one batch is in memory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tidegate.collector import file_names, writer_lock
from tidegate.collector.checkpoint import Progress
from tidegate.collector.lines import (
    SHOWN_BYTES,
    Chunk,
    LinePosition,
    QuarantinedLine,
    incomplete_line,
    overlong_line,
    split,
)
from tidegate.collector.losses import KnownFile, Loss, losses, replaced
from tidegate.events.event import Event

# The newest file of a writer counts as closed only if it is unlocked and was not written to for this long: a
# writer of an older version uses no locks.
QUIET_SECONDS: Final = 5.0
# Size of the reads that look for the end of a line that is too long.
SKIP_BYTES: Final = 1 << 20
# Bytes before an offset that identify what was delivered: they contain most lines with their `event.id`.
END_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a batch. See the settings of the same names."""

    batch_events: int
    batch_bytes: int
    line_bytes: int

    @property
    def longest_line(self) -> int:
        """The longest line that is read, to be truncated to `line_bytes`."""
        return max(self.batch_bytes, self.line_bytes)


@dataclass(frozen=True, slots=True)
class LogFile:
    """An event file at the last scan."""

    name: str
    size: int
    modified: float  # in seconds since 1970
    closed: bool  # whether its writer will never append to it again


@dataclass(slots=True)
class Batch:
    """The lines that are delivered together, and what the checkpoint has after that.

    It is full if more lines may be ready.
    """

    events: list[tuple[LinePosition, Event]] = field(default_factory=list)
    quarantined: list[QuarantinedLine] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    full: bool = False

    def __bool__(self) -> bool:
        return bool(self.offsets)


class Tail:
    """The files of a folder, with the delivered offset of each."""

    def __init__(
        self, folder: Path, progress: Progress, limits: Limits, clock: Callable[[], float]
    ):
        """Follow a folder, which may be created later; the clock returns seconds since 1970."""
        self.folder = folder
        self._limits = limits
        self._clock = clock
        self._skipped: dict[str, int] = {}
        self._last_read = ""
        self.offsets = dict(progress.offsets)
        self.ends = dict(progress.ends)
        self.files: dict[str, LogFile] = {}
        self._known = {name: KnownFile(size, 0) for name, size in progress.sizes.items()}
        self._losses: list[Loss] = []
        self._closed: set[str] = set()
        self._links: dict[str, str] = {}
        self._unseen: list[str] = []
        self._problems: dict[str, str] = {}
        self._notices: list[str] = []
        self.failed = False
        """Whether the folder, or a file with pending lines, could not be read since this was set to False."""

    def scan(self) -> None:
        """List the files and their sizes.

        A deleted file is forgotten. A file that is shorter than its delivered offset was truncated, and one
        with another inode was replaced: it is read from its start again.
        """
        try:
            found = self._list()
        except FileNotFoundError:
            found = {}
        except OSError as error:
            # Keep the known offsets: without them the files would be delivered again.
            self._notice_error(str(self.folder), "listed", error)
            return
        unseen = {name: self._known.pop(name) for name in self._unseen if name in self._known}
        self._losses += losses(self._known, found, self.offsets)
        others = replaced(self._known, found)
        self._known = {name: KnownFile(one.st_size, one.st_ino) for name, one in found.items()}
        self._known |= unseen
        newest = _newest(found)
        # A closed file remains closed: no writer opens an existing file.
        self._closed = {name for name in found if self._is_closed(name, found[name], newest)}
        self.files = {
            name: LogFile(name, status.st_size, status.st_mtime, name in self._closed)
            for name, status in found.items()
        }
        # What was read by one name is not read again by a link of it: ids are made of names.
        of = {**{name: name for name in [*found, *self._unseen]}, **self._links}
        self.offsets = {name: self.offsets[one] for name, one in of.items() if one in self.offsets}
        self.ends = {name: self.ends[one] for name, one in of.items() if one in self.ends}
        self._skipped = {name: at for name, at in self._skipped.items() if name in found}
        for name in sorted(self.offsets.keys() & found.keys()):
            if name in others:
                self._read_again(name, "replaced")
            elif self.pending_bytes(name) < 0:
                self._read_again(name, "truncated")

    def delete(self, name: str) -> None:
        """Delete a delivered file, unless a writer holds it."""
        try:
            if writer_lock.delete(self.folder / name, self.offsets.get(name, 0)):
                self._known.pop(name, None)  # no loss, even if all files are delivered again
        except OSError as error:
            self._notice_error(name, "deleted", error)

    def losses(self) -> list[Loss]:
        """Return the files that were deleted, cut or replaced undelivered since the last call."""
        found, self._losses = self._losses, []
        return found

    def notices(self) -> list[str]:
        """Return the messages about problems with files since the last call; each problem once."""
        notices, self._notices = self._notices, []
        return notices

    def pending_bytes(self, name: str) -> int:
        """Return the number of bytes of a file that are not delivered yet."""
        return self.files[name].size - self.offsets.get(name, 0)

    def batch(self) -> Batch:
        """Return the next lines, of the files in turn; empty if no line is complete."""
        batch = Batch()
        lines, size = self._limits.batch_events, self._limits.batch_bytes
        for name in self._in_turn():
            try:
                with writer_lock.opened(self.folder / name) as fd:
                    start = self._start(fd, name)
                    chunk = self._read(fd, name, start, lines, size)
                    end = _end(fd, chunk.end)
            except FileNotFoundError:
                continue  # deleted since the scan; the next scan forgets it
            except OSError as error:
                self._notice_error(name, "read", error)
                continue
            if chunk.end > start:
                batch.events += chunk.events
                batch.quarantined += chunk.quarantined
                batch.offsets[name], batch.ends[name] = chunk.end, end
                self._last_read = name
            lines -= len(chunk.events) + len(chunk.quarantined)
            size -= chunk.end - start
            batch.full = lines <= 0 or size <= 0
            if batch.full:
                break
        return batch

    def _start(self, fd: int, name: str) -> int:
        """Return the offset to read at: the start if what precedes the delivered offset is not what was read.

        Somebody emptied the file and it grew again between two scans, or another one got its name and inode.
        """
        start = self.offsets.get(name, 0)
        if start and self.ends.get(name, end := _end(fd, start)) != end:
            self._read_again(name, "replaced")
            return 0
        return start

    def _read_again(self, name: str, how: str) -> None:
        self.offsets[name] = 0
        self._skipped.pop(name, None)
        self._notices.append(f"{name} was {how}: reading it from its start")

    def _list(self) -> dict[str, os.stat_result]:
        """Return the event files; symbolic links are not followed, and of hard links one name is read."""
        self._links, self._unseen = {}, []
        found: dict[str, os.stat_result] = {}
        present: set[str] = set()
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not entry.name.endswith(file_names.SUFFIX):
                    continue
                present.add(entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted since it was listed
                except OSError as error:  # it is still there, perhaps as it was
                    self._unseen.append(entry.name)
                    self._notice_error(entry.name, "read", error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[entry.name] = status
                elif stat.S_ISLNK(status.st_mode):
                    self._notice(entry.name, f"{entry.name} is a symbolic link and is not read")
        self._problems = {name: why for name, why in self._problems.items() if name in present}
        first = dict[tuple[int, int], str]()
        linked = [name for name, status in found.items() if status.st_nlink > 1]
        for name in sorted(linked, key=lambda one: (one not in self._known, one)):
            inode = found[name].st_dev, found[name].st_ino
            if (read := first.setdefault(inode, name)) != name:
                self._links[name] = read
                self._notice(name, f"{name} is a link of {read} and is not read")
                del found[name]
        return found

    def _notice_error(self, name: str, operation: str, error: OSError) -> None:
        self.failed |= operation in {"listed", "read"}
        self._notice(name, f"{name} cannot be {operation}: {error.strerror or error}")

    def _notice(self, name: str, reason: str) -> None:
        if self._problems.get(name) != reason:
            self._problems[name] = reason
            self._notices.append(reason)

    def progress_with(self, batch: Batch) -> Progress:
        """Return the progress after the delivery of a batch."""
        sizes = {name: file.size for name, file in self.files.items()}
        return Progress({**self.offsets, **batch.offsets}, sizes, {**self.ends, **batch.ends})

    def delivered(self, batch: Batch) -> None:
        """Record the delivery of a batch."""
        self.offsets.update(batch.offsets)
        self.ends.update(batch.ends)

    def _in_turn(self) -> list[str]:
        """Return files with pending bytes, starting after the one that was read last."""
        pending = sorted(name for name in self.files if self.pending_bytes(name) > 0)
        return [n for n in pending if n > self._last_read] + [
            n for n in pending if n <= self._last_read
        ]

    def _read(self, fd: int, name: str, start: int, max_lines: int, max_bytes: int) -> Chunk:
        limits = self._limits
        if name in self._skipped:
            return self._skip(fd, name, start)
        data = os.pread(fd, max(max_bytes, limits.line_bytes), start)
        if b"\n" not in data:  # a line that is longer than the rest of this batch
            data = os.pread(fd, limits.longest_line + 1, start)
        chunk = split(name, data, start, max_lines=max_lines, line_bytes=limits.line_bytes)
        rest = len(data) - (chunk.end - start)
        if chunk.end > start or not rest:
            return chunk
        if rest > limits.longest_line:
            return self._skip(fd, name, start)
        if self.files[name].closed and start + rest >= self.files[name].size:
            return Chunk(
                start + rest, quarantined=[incomplete_line(LinePosition(name, start), data)]
            )
        return chunk

    def _skip(self, fd: int, name: str, start: int) -> Chunk:
        """Search for the end of a line that is too long, starting where the last search ended."""
        at = self._skipped.get(name, start)
        while data := os.pread(fd, SKIP_BYTES, at):
            end = data.find(b"\n")
            if end >= 0:
                self._skipped.pop(name, None)
                return self._too_long(fd, name, start, at + end, at + end + 1)
            at += len(data)
        if self.files[name].closed and at >= self.files[name].size:
            self._skipped.pop(name, None)
            return self._too_long(fd, name, start, at, at)
        self._skipped[name] = at
        return Chunk(start)

    def _too_long(self, fd: int, name: str, start: int, line_end: int, end: int) -> Chunk:
        head = os.pread(fd, min(SHOWN_BYTES, line_end - start), start)
        line = overlong_line(
            LinePosition(name, start), line_end - start, head, self._limits.longest_line
        )
        return Chunk(end, quarantined=[line])

    def _is_closed(self, name: str, status: os.stat_result, newest: Mapping[str, int]) -> bool:
        if name in self._closed:
            return True
        parsed = file_names.parse(name)
        if parsed is None:
            return False  # a file of another program
        quiet = self._clock() - status.st_mtime >= QUIET_SECONDS
        if parsed.number >= newest[parsed.writer] and not quiet:
            return False
        try:
            return writer_lock.is_free(self.folder / name)
        except FileNotFoundError:
            return False  # deleted since it was listed
        except OSError as error:
            self._notice_error(name, "locked", error)
            return False


def _end(fd: int, offset: int) -> str:
    """Return a digest of the last bytes before an offset."""
    size = min(offset, END_BYTES)
    return hashlib.blake2b(os.pread(fd, size, offset - size), digest_size=8).hexdigest()


def _newest(found: Mapping[str, object]) -> dict[str, int]:
    """Return the highest file number of each writer."""
    newest: dict[str, int] = {}
    for name in found:
        if parsed := file_names.parse(name):
            newest[parsed.writer] = max(parsed.number, newest.get(parsed.writer, 0))
    return newest
