"""Follows the event files of a folder, by name and offset.

Files only grow, get a name of their own and are never renamed; so a name and an offset say exactly what
was read. Nothing is kept open between two looks, and no more than a batch is held in memory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tidegate.collector import holding, names
from tidegate.collector.lines import SHOWN_BYTES, Aside, Piece, Place, cut, too_long, torn
from tidegate.events import Event

# A newest file that nobody holds is only taken for closed when it has been quiet for so long: a writer that
# knows no locks (one of an older version) may be at work on it.
QUIET_SECONDS: Final = 5.0
# How much of a file is read at a time while looking for the end of a line that is too long.
SKIP_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a batch may hold. See the settings of the same names."""

    batch_events: int
    batch_bytes: int
    line_bytes: int


@dataclass(frozen=True, slots=True)
class LogFile:
    """An event file as it was at the last look.

    Attributes:
        name: its name.
        size: its bytes.
        modified: when it was last written to, in seconds since 1970.
        closed: whether its writer will never append to it again.
    """

    name: str
    size: int
    modified: float
    closed: bool


@dataclass(slots=True)
class Batch:
    """What is delivered together.

    Attributes:
        events: with the place of each.
        asides: lines that are no events.
        offsets: how far each file is read once this is delivered.
        full: whether a limit ended it, so that there may be more.
    """

    events: list[tuple[Place, Event]] = field(default_factory=list)
    asides: list[Aside] = field(default_factory=list)
    offsets: dict[str, int] = field(default_factory=dict)
    full: bool = False

    def __bool__(self) -> bool:
        return bool(self.offsets)


class Tail:
    """The files of a folder, and how far each has been read and delivered."""

    def __init__(
        self,
        folder: Path,
        offsets: Mapping[str, int],
        limits: Limits,
        *,
        clock: Callable[[], float],
    ):
        """Follow a folder.

        Args:
            folder: where the event files are; it need not be there yet.
            offsets: how far each file was delivered before.
            limits: what a batch may hold.
            clock: seconds since 1970.
        """
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._skipped: dict[str, int] = {}
        self._turn = ""
        self.offsets = dict(offsets)
        self.files: dict[str, LogFile] = {}
        self._closed: set[str] = set()
        self._troubles: dict[str, str] = {}
        self._notices: list[str] = []

    def look(self) -> None:
        """See which files there are, and how large they are.

        A file that is gone is forgotten. One that is shorter than what was read of it was cut by
        somebody: it is read from its start again.
        """
        try:
            found = self._found()
        except FileNotFoundError:
            found = {}
        except OSError as error:
            # What is known of its files stays: forgotten, they would be delivered again.
            self._cannot(str(self._folder), "listed", error)
            return
        newest = _newest(found)
        # Once closed, a file stays it: no writer takes up a file that is there.
        self._closed = {name for name in found if self._is_closed(name, found[name], newest)}
        self.files = {
            name: LogFile(name, status.st_size, status.st_mtime, name in self._closed)
            for name, status in found.items()
        }
        self.offsets = {name: at for name, at in self.offsets.items() if name in found}
        self._skipped = {name: at for name, at in self._skipped.items() if name in found}
        for name in [name for name in self.offsets if self.waiting(name) < 0]:
            self.offsets[name] = 0
            self._skipped.pop(name, None)
            self._notices.append(f"{name} was cut by somebody: reading it from its start")

    def delete(self, name: str) -> None:
        """Delete a file that is delivered, unless somebody writes to it."""
        try:
            holding.delete(self._folder / name, self.offsets.get(name, 0))
        except OSError as error:
            self._cannot(name, "deleted", error)

    def notices(self) -> list[str]:
        """What went wrong with files since this was last asked, in sentences; each thing once."""
        told, self._notices = self._notices, []
        return told

    def waiting(self, name: str) -> int:
        """Bytes of a file that are not delivered yet."""
        return self.files[name].size - self.offsets.get(name, 0)

    def batch(self) -> Batch:
        """The next lines, of every file in turn; empty if there are none that are whole."""
        batch = Batch()
        lines, size = self._limits.batch_events, self._limits.batch_bytes
        for name in self._in_turn():
            start = self.offsets.get(name, 0)
            try:
                piece = self._read(name, start, lines, size)
            except FileNotFoundError:
                continue  # deleted meanwhile; the next look forgets it
            except OSError as error:
                self._cannot(name, "read", error)
                continue
            if piece.end > start:
                batch.events += piece.events
                batch.asides += piece.asides
                batch.offsets[name] = piece.end
                self._turn = name
            lines -= len(piece.events) + len(piece.asides)
            size -= piece.end - start
            batch.full = lines <= 0 or size <= 0
            if batch.full:
                break
        return batch

    def _found(self) -> dict[str, os.stat_result]:
        """The event files that there are; no link leads out of the folder."""
        found: dict[str, os.stat_result] = {}
        there: set[str] = set()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.name.endswith(names.SUFFIX):
                    continue
                there.add(entry.name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted meanwhile
                except OSError as error:
                    self._cannot(entry.name, "read", error)
                    continue
                if stat.S_ISREG(status.st_mode):
                    found[entry.name] = status
                elif stat.S_ISLNK(status.st_mode):
                    self._notice(entry.name, f"{entry.name} is a symbolic link: it is not read")
        self._troubles = {name: why for name, why in self._troubles.items() if name in there}
        return found

    def _cannot(self, name: str, done: str, error: OSError) -> None:
        self._notice(name, f"{name} cannot be {done}: {error.strerror or error}")

    def _notice(self, name: str, reason: str) -> None:
        if self._troubles.get(name) != reason:
            self._troubles[name] = reason
            self._notices.append(reason)

    def delivered(self, batch: Batch) -> None:
        """The batch is where it belongs."""
        self.offsets.update(batch.offsets)

    def _in_turn(self) -> list[str]:
        """Files with bytes to read; first those after the one that was read last."""
        waiting = sorted(name for name in self.files if self.waiting(name) > 0)
        return [n for n in waiting if n > self._turn] + [n for n in waiting if n <= self._turn]

    def _read(self, name: str, start: int, max_lines: int, max_bytes: int) -> Piece:
        limits = self._limits
        wanted = max(max_bytes, limits.line_bytes + 1)
        with holding.opened(self._folder / name) as fd:
            if name in self._skipped:
                return self._skip(fd, name, start)
            data = os.pread(fd, wanted, start)
            piece = cut(name, data, start, max_lines=max_lines, line_bytes=limits.line_bytes)
            rest = len(data) - (piece.end - start)
            if piece.end > start or not rest:
                return piece
            if rest > limits.line_bytes:
                return self._skip(fd, name, start)
            if self.files[name].closed and start + rest >= self.files[name].size:
                return Piece(start + rest, asides=[torn(Place(name, start), data)])
            return piece

    def _skip(self, fd: int, name: str, start: int) -> Piece:
        """Look for the end of a line that is too long, from where the last look for it ended."""
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
        return Piece(start)

    def _too_long(self, fd: int, name: str, start: int, line_end: int, end: int) -> Piece:
        head = os.pread(fd, min(SHOWN_BYTES, line_end - start), start)
        aside = too_long(Place(name, start), line_end - start, head, self._limits.line_bytes)
        return Piece(end, asides=[aside])

    def _is_closed(self, name: str, status: os.stat_result, newest: Mapping[str, int]) -> bool:
        if name in self._closed:
            return True
        parsed = names.parse(name)
        if parsed is None:
            return False  # another program's file: only it knows
        quiet = self._clock() - status.st_mtime >= QUIET_SECONDS
        if parsed.number >= newest[parsed.row] and not quiet:
            return False
        try:
            return holding.is_free(self._folder / name)
        except FileNotFoundError:
            return False  # deleted meanwhile
        except OSError as error:
            self._cannot(name, "locked", error)
            return False


def _newest(found: Mapping[str, object]) -> dict[str, int]:
    """The highest number of each writer's row of files."""
    newest: dict[str, int] = {}
    for name in found:
        if parsed := names.parse(name):
            newest[parsed.row] = max(parsed.number, newest.get(parsed.row, 0))
    return newest
