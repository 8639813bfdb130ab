"""A file system in memory, with a page cache and a disk.

What a program writes is in the page cache; what it has flushed (fsync) is on the disk. A power failure keeps
what is on the disk, and of the rest what a seeded choice says was written back: data up to any byte, and the
changes of a folder's names either in their order, as a journal keeps them, or each alone, as POSIX allows.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

ROOT = "/simulated"
FILE, FOLDER, LINK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
PAGE = 512
"""What is written back at once, in bytes: smaller than the kernel's, as are the files."""


def error(number: int, path: str | None = None) -> OSError:
    """The exception of an error number, as the kernel's answer becomes one."""
    return OSError(number, os.strerror(number), path)


def _change(content: bytearray, offset: int, data: bytes) -> None:
    if data:
        content += bytes(max(0, offset - len(content)))
        content[offset : offset + len(data)] = data
    else:
        del content[offset:]


@dataclass(slots=True, eq=False)
class Inode:
    """A file: its content, what of it is on the disk, and the changes since then, in order."""

    number: int
    kind: int = FILE
    mode: int = 0o600
    shown: int = 0  # the number that stat(2) shows, which a later file gets again
    modified_ns: int = 0
    modified_monotonic: float = 0.0
    links: int = 0
    data: bytearray = field(default_factory=bytearray)
    durable: bytes = b""
    pending: list[tuple[int, bytes]] = field(default_factory=list)
    locks: dict[int, bool] = field(default_factory=dict)  # by description: whether it is exclusive

    def change(self, offset: int, data: bytes) -> None:
        """Write at an offset; without data, cut the file there."""
        _change(self.data, offset, data)
        self.pending.append((offset, data))

    def flush(self) -> None:
        """Bring it to the disk."""
        self.durable = bytes(self.data)
        self.pending.clear()

    def lose_power(self, random: Random) -> None:
        """Keep what is on the disk, and some of the changes since then, the last one torn."""
        self.locks.clear()
        if not self.pending:
            return
        kept = bytearray(self.durable)
        whole = random.randint(0, len(self.pending))
        for offset, data in self.pending[:whole]:
            _change(kept, offset, data)
        if whole < len(self.pending) and (torn := self.pending[whole])[1]:
            offset, data = torn
            cut = random.randint(0, len(data))
            if cut:
                _change(kept, offset, data[:cut])
            if (
                cut < len(data) and random.random() < 0.25
            ):  # the size was written back, the data not
                _change(kept, offset + cut, bytes(len(data) - cut))
        if len(kept) > len(self.durable) and random.random() < 0.25:  # a later page came first
            hole = random.randrange(len(self.durable), len(kept)) // PAGE * PAGE
            start, end = max(hole, len(self.durable)), min(hole + PAGE, len(kept))
            kept[start:end] = bytes(end - start)
        self.data = kept
        self.flush()


@dataclass(slots=True, eq=False)
class Folder(Inode):
    """A folder: its names, those that are on the disk, and the changes since then, each one atomic."""

    names: dict[str, Inode] = field(default_factory=dict)
    durable_names: dict[str, Inode] = field(default_factory=dict)
    changes: list[dict[str, Inode | None]] = field(default_factory=list)
    journalled: bool = False  # its changes reach the disk in their order alone

    def rename(self, change: dict[str, Inode | None]) -> None:
        """Give and take names, all at once."""
        _apply(self.names, change)
        self.changes.append(change)

    def flush(self) -> None:
        """Bring the names to the disk."""
        self.durable_names = dict(self.names)
        self.changes.clear()

    def lose_power(self, random: Random) -> None:
        """Keep the names that are on the disk, and some of the changes since then."""
        kept = dict(self.durable_names)
        in_order = random.random() < 0.5 or self.journalled
        until = random.randint(0, len(self.changes))
        undone = set[str]()  # what comes later to the same name is undone, too
        for number, change in enumerate(self.changes):
            keep = number < until if in_order else random.random() < 0.5
            if keep and undone.isdisjoint(change):
                _apply(kept, change)
            else:
                undone |= change.keys()
        self.names = kept
        self.flush()


def _apply(names: dict[str, Inode], change: dict[str, Inode | None]) -> None:
    for name, inode in change.items():
        if inode is None:
            names.pop(name, None)
        else:
            names[name] = inode


@dataclass(slots=True, eq=False)
class Description:
    """An open file (POSIX: an open file description)."""

    number: int
    inode: Inode
    path: str
    append: bool
    offset: int = 0


@lru_cache(4096)
def _parts(path: str) -> tuple[list[str], str]:
    *folders, last = path[len(ROOT) + 1 :].split("/")
    return folders, last


class FileSystem:
    """The files below `ROOT`."""

    def __init__(self) -> None:
        self._numbers = 0
        self._shown = 0
        self._unused: list[int] = []  # numbers of files that are gone
        self.root = Folder(0, FOLDER, 0o700)
        self.opened: dict[int, Description] = {}
        self.free: int | None = None
        """The bytes that can still be written; None if the disk has room."""
        self.now = 0.0
        self.monotonic = 0.0

    @property
    def now_ns(self) -> int:
        """What the clock shows, in nanoseconds since 1970."""
        return int(self.now * 1e9)

    def new(self, kind: int, mode: int) -> Inode:
        """An inode without a name."""
        self._numbers += 1
        if self._unused:
            shown = self._unused.pop()
        else:
            self._shown = shown = self._shown + 1
        make = Folder if kind == FOLDER else Inode
        return make(self._numbers, kind, mode, shown, self.now_ns)

    def parent(self, path: str) -> tuple[Folder, str]:
        """The folder of a path, and its last part.

        Raises:
            OSError: a folder of the path does not exist.
        """
        folder: Inode = self.root
        folders, last = _parts(path)
        for name in folders:
            found = folder.names.get(name) if isinstance(folder, Folder) else None
            if found is None:
                raise error(errno.ENOENT, path)
            folder = found
        if not isinstance(folder, Folder):
            raise error(errno.ENOTDIR, path)
        return folder, last

    def find(self, path: str) -> Inode | None:
        """The inode of a path; links are not followed."""
        if path == ROOT:
            return self.root
        try:
            folder, name = self.parent(path)
        except OSError:
            return None
        return folder.names.get(name)

    def get(self, path: str) -> Inode:
        """As `find`; it must exist."""
        found = self.find(path)
        if found is None:
            raise error(errno.ENOENT, path)
        return found

    def open(self, path: str, flags: int, mode: int = 0o600) -> int:
        """As open(2)."""
        folder, name = self.parent(path)
        inode = folder.names.get(name)
        if inode is None:
            if not flags & os.O_CREAT:
                raise error(errno.ENOENT, path)
            inode = self.new(FILE, mode)
            inode.links = 1
            folder.rename({name: inode})
        elif flags & os.O_EXCL:
            raise error(errno.EEXIST, path)
        elif inode.kind == LINK:
            raise error(errno.ELOOP, path)
        if flags & os.O_TRUNC and inode.data:
            inode.change(0, b"")
        return self.describe(inode, path, append=bool(flags & os.O_APPEND))

    def describe(self, inode: Inode, path: str, *, append: bool) -> int:
        """Open an inode."""
        self._numbers += 1
        number = 1_000_000 + self._numbers
        self.opened[number] = Description(number, inode, path, append)
        return number

    def close(self, number: int) -> None:
        """Close a descriptor, and release its lock."""
        description = self.described(number)
        del self.opened[number]
        description.inode.locks.pop(number, None)
        self._release(description.inode)

    def described(self, number: int) -> Description:
        """The open file of a descriptor."""
        description = self.opened.get(number)
        if description is None:
            raise error(errno.EBADF)
        return description

    def write(self, number: int, data: bytes) -> int:
        """As write(2): on a disk that is nearly full, less than all."""
        description = self.described(number)
        inode = description.inode
        offset = len(inode.data) if description.append else description.offset
        if self.free is not None:
            data = data[: self.free]
            if not data:
                raise error(errno.ENOSPC)
            self.free -= len(data)
        inode.change(offset, data)
        inode.modified_ns, inode.modified_monotonic = self.now_ns, self.monotonic
        description.offset = offset + len(data)
        return len(data)

    def lock(self, number: int, exclusive: bool | None) -> bool:
        """Lock, or unlock (None), an open file; return whether nobody else holds it."""
        locks = self.described(number).inode.locks
        locks.pop(number, None)  # also before it is converted, which may fail
        if exclusive is None:
            return True
        if any(held or exclusive for held in locks.values()):
            return False
        locks[number] = exclusive
        return True

    def replace(self, source: str, target: str) -> None:
        """As rename(2), inside a folder."""
        (folder, old), (other, new) = self.parent(source), self.parent(target)
        inode = folder.names.get(old)
        if inode is None:
            raise error(errno.ENOENT, source)
        assert folder is other, "a rename into another folder is not simulated"
        replaced = folder.names.get(new)
        if replaced is inode:
            return
        folder.rename({old: None, new: inode})
        if replaced is not None:
            self._unlinked(replaced)

    def link(self, source: str, target: str) -> None:
        """As link(2)."""
        inode, (folder, name) = self.get(source), self.parent(target)
        if name in folder.names:
            raise error(errno.EEXIST, target)
        inode.links += 1
        folder.rename({name: inode})

    def symlink(self, target: str) -> None:
        """Make a symbolic link, which nothing follows."""
        folder, name = self.parent(target)
        folder.rename({name: self.new(LINK, 0o777)})

    def unlink(self, path: str) -> Inode:
        """As unlink(2); return what the name belonged to."""
        folder, name = self.parent(path)
        inode = folder.names.get(name)
        if inode is None:
            raise error(errno.ENOENT, path)
        folder.rename({name: None})
        self._unlinked(inode)
        return inode

    def _unlinked(self, inode: Inode) -> None:
        inode.links -= 1
        self._release(inode)

    def _release(self, inode: Inode) -> None:
        """Give back the number and the room of a file without a name that nobody has open."""
        opened = (one.inode is inode for one in self.opened.values())
        if inode.kind != FILE or inode.links or any(opened):
            return
        self._unused.append(inode.shown)
        if self.free is not None:
            self.free += len(inode.data)

    def make_folder(self, path: str, mode: int) -> None:
        """As mkdir(2). It is on the disk at once: that a whole data folder is gone is not simulated."""
        folder, name = self.parent(path)
        if name in folder.names:
            raise error(errno.EEXIST, path)
        folder.names[name] = folder.durable_names[name] = made = self.new(FOLDER, mode)
        if isinstance(made, Folder):
            made.journalled = name.startswith("index-")  # tantivy relies on it

    def inodes(self) -> Iterator[Inode]:
        """All inodes that have a name, each once."""
        folders, seen = [self.root], set[int]()
        while folders:
            for inode in folders.pop().names.values():
                if inode.number not in seen:
                    seen.add(inode.number)
                    yield inode
                    if isinstance(inode, Folder):
                        folders.append(inode)

    def lose_power(self, random: Random) -> None:
        """Everything is closed, and what was not on the disk may be gone."""
        self.opened.clear()
        for inode in (self.root, *self.inodes()):  # of the folders first, then their files
            if isinstance(inode, Folder):
                inode.lose_power(random)
        for inode in self.inodes():
            inode.links = 0
        for inode in self.inodes():
            if not isinstance(inode, Folder):
                inode.lose_power(random)
        for folder in (self.root, *(one for one in self.inodes() if isinstance(one, Folder))):
            for inode in folder.names.values():
                inode.links += 1

    def status(self, inode: Inode) -> os.stat_result:
        """As stat(2)."""
        size = 4096 if isinstance(inode, Folder) else len(inode.data)
        seconds = inode.modified_ns // 10**9
        times = (seconds, seconds, seconds)
        return os.stat_result(
            (inode.kind | inode.mode, inode.shown, 1, inode.links, 0, 0, size, *times),
            {"st_mtime": inode.modified_ns / 1e9, "st_mtime_ns": inode.modified_ns},
        )
