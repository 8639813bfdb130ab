"""Python's functions of the system, which for paths below `ROOT` are calls of the simulated machine.

A call that production code has not needed so far fails the test, so that nothing is simulated by accident.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from types import TracebackType
from typing import Any, NoReturn

from .files import FOLDER, LINK, ROOT, Folder, Inode, error
from .machine import Machine, UnsupportedCallError

FIRST_DESCRIPTOR = 1_000_000
REAL_PID = os.getpid()
UNSUPPORTED = (
    *("access", "chown", "fdatasync", "ftruncate", "lchown", "listdir", "lseek", "pwrite", "read"),
    *("readlink", "remove", "removedirs", "rename", "renames", "rmdir", "sendfile", "statvfs"),
    *("symlink", "truncate", "utime", "writev"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a folder (os.DirEntry)."""

    name: str
    path: str
    calls: SystemCalls
    inode: Inode

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return self.calls.stat(self.path, follow_symlinks=follow_symlinks)

    def is_dir(self) -> bool:
        return self.inode.kind == FOLDER

    def is_file(self) -> bool:
        return self.inode.kind not in (FOLDER, LINK)


class Entries(list[Entry]):
    """What os.scandir returns."""

    def __enter__(self) -> Entries:
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Nothing to close."""


class RawFile(io.RawIOBase):
    """A file object without a buffer; Python's own buffers stand above it."""

    def __init__(self, calls: SystemCalls, number: int, name: str, *, readable: bool) -> None:
        self._calls = calls
        self._process = calls.machine.process
        self._number = number
        self.name = name
        self._readable = readable

    def readable(self) -> bool:
        return self._readable

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def readinto(self, buffer: Any) -> int:
        machine = self._calls.machine
        machine.call("read", self.name)
        description = machine.files.described(self._number)
        data = description.inode.data[description.offset : description.offset + len(buffer)]
        buffer[: len(data)] = data
        description.offset += len(data)
        return len(data)

    def write(self, data: Any) -> int:
        return self._calls.write(self._number, bytes(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        description = self._calls.machine.files.described(self._number)
        base = {0: 0, 1: description.offset, 2: len(description.inode.data)}[whence]
        description.offset = base + offset
        return description.offset

    def truncate(self, size: int | None = None) -> int:
        machine = self._calls.machine
        machine.call("ftruncate", self.name, size)
        description = machine.files.described(self._number)
        size = description.offset if size is None else size
        if size < len(description.inode.data):
            description.inode.change(size, b"")
            description.inode.modified_ns = machine.files.now_ns
        return size

    def close(self) -> None:
        if not self.closed:
            super().close()
            if not self._process.dead:  # else its end has closed it, and this may be a finalizer
                self._calls.close(self._number)


class SystemCalls:
    """The functions, for the machine that runs."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.on_replace: Callable[[str, str], None] = lambda _source, _target: None
        self.on_status: Callable[[str, Inode], None] = lambda _path, _inode: None
        self.on_unlink: Callable[[str, Inode], None] = lambda _path, _inode: None

    def _path(self, number: int) -> str:
        opened = self.machine.files.opened.get(number)
        return opened.path if opened else str(number)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        process = self.machine.call("open", path, flags)
        number = self.machine.files.open(path, flags, mode)
        process.descriptors.add(number)
        return number

    def close(self, number: int) -> None:
        process = self.machine.call("close", self._path(number))
        self.machine.files.close(number)
        process.descriptors.discard(number)

    def write(self, number: int, data: bytes) -> int:
        self.machine.call("write", self._path(number), len(data))
        return self.machine.files.write(number, bytes(data))

    def pread(self, number: int, size: int, offset: int) -> bytes:
        self.machine.call("pread", self._path(number), (size, offset))
        return bytes(self.machine.described(number).data[offset : offset + size])

    def fsync(self, number: int) -> None:
        self.machine.call("fsync", self._path(number))
        self.machine.described(number).flush()

    def fstat(self, number: int) -> os.stat_result:
        self.machine.call("fstat", self._path(number))
        return self.machine.files.status(self.machine.described(number))

    def stat(
        self, path: str, *, dir_fd: None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        self.machine.call("stat", path)
        inode = self.machine.files.get(path)
        if inode.kind == LINK and follow_symlinks:
            raise error(errno.ENOENT, path)
        if not follow_symlinks:
            self.on_status(path, inode)
        return self.machine.files.status(inode)

    def lstat(self, path: str) -> os.stat_result:
        return self.stat(path, follow_symlinks=False)

    def mkdir(self, path: str, mode: int = 0o777) -> None:
        self.machine.call("mkdir", path)
        self.machine.files.make_folder(path, mode)

    def unlink(self, path: str) -> None:
        self.machine.call("unlink", path)
        self.on_unlink(path, self.machine.files.unlink(path))

    def replace(self, source: str, target: str) -> None:
        self.machine.call("rename", target)
        self.machine.files.replace(source, target)
        self.on_replace(source, target)

    def link(self, source: str, target: str) -> None:
        self.machine.call("link", target)
        self.machine.files.link(source, target)

    def chmod(self, path: str, mode: int, *, follow_symlinks: bool = True) -> None:
        self.machine.call("chmod", path)
        self.machine.files.get(path).mode = mode

    def fchmod(self, number: int, mode: int) -> None:
        self.machine.call("fchmod", self._path(number))
        self.machine.described(number).mode = mode

    def scandir(self, path: str) -> Entries:
        self.machine.call("scandir", path)
        folder = self.machine.files.get(path)
        if not isinstance(folder, Folder):
            raise error(errno.ENOTDIR, path)
        names = sorted(folder.names, key=lambda name: zlib.crc32(name.encode()))  # in no order
        return Entries([Entry(name, f"{path}/{name}", self, folder.names[name]) for name in names])

    def flock(self, number: int, operation: int) -> None:
        self.machine.call("flock", self._path(number), operation)
        wanted = None if operation & fcntl.LOCK_UN else bool(operation & fcntl.LOCK_EX)
        while not self.machine.files.lock(number, wanted):
            if operation & fcntl.LOCK_NB:
                raise error(errno.EWOULDBLOCK)
            self.machine.call("flock", self._path(number), operation)

    def getpid(self) -> int:
        return self.machine.process.pid if self.machine.task else REAL_PID

    def fdopen(self, number: int, mode: str) -> io.BufferedWriter:
        return io.BufferedWriter(RawFile(self, number, self._path(number), readable=False))

    def open_file(self, path: str, mode: str = "r", *_: object) -> io.BufferedReader:
        if mode != "rb":
            raise UnsupportedCallError(f"open {path} {mode}")
        number = self.open(path, os.O_RDONLY)
        return io.BufferedReader(RawFile(self, number, path, readable=True))

    def temporary_file(self, folder: str, prefix: str) -> io.BufferedRandom:
        """As NamedTemporaryFile(delete=False); its random name is that of its inode."""
        path = f"{folder}/{prefix}{self.machine.calls:08d}"
        number = self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        return io.BufferedRandom(RawFile(self, number, path, readable=True))


def _virtual(path: object) -> str | None:
    """The simulated path; None for a file of the real machine."""
    if isinstance(path, PurePath):
        path = str(path)
    return path if isinstance(path, str) and path.startswith(ROOT) else None


class _Installation:
    """Functions in the place of others, until they are put back."""

    def __init__(self) -> None:
        self._saved: list[tuple[Any, str, Any]] = []

    def put(self, module: Any, name: str, function: Callable[..., Any]) -> None:
        self._saved.append((module, name, getattr(module, name)))
        setattr(module, name, function)

    def by_path(self, module: Any, name: str, simulated: Callable[..., Any]) -> None:
        """Replace a function for simulated paths."""
        real = getattr(module, name)

        def function(path: Any, *arguments: Any, **options: Any) -> Any:
            found = _virtual(path)
            if found is None:
                return real(path, *arguments, **options)
            if arguments and isinstance(arguments[0], os.PathLike):
                arguments = (os.fspath(arguments[0]), *arguments[1:])
            return simulated(found, *arguments, **options)

        self.put(module, name, function)

    def by_number(self, module: Any, name: str, simulated: Callable[..., Any]) -> None:
        """Replace a function for simulated descriptors."""
        real = getattr(module, name)

        def function(number: Any, *arguments: Any, **options: Any) -> Any:
            if type(number) is int and number >= FIRST_DESCRIPTOR:
                return simulated(number, *arguments, **options)
            return real(number, *arguments, **options)

        self.put(module, name, function)

    def undo(self) -> None:
        """Put the others back."""
        for module, name, function in reversed(self._saved):
            setattr(module, name, function)


def _unsupported(name: str) -> Callable[..., NoReturn]:
    def fail(*arguments: Any, **_: Any) -> NoReturn:
        raise UnsupportedCallError(f"os.{name}{arguments}")

    return fail


@contextmanager
def installed(calls: SystemCalls) -> Iterator[None]:
    """Put the functions in the place of Python's."""
    installation = _Installation()
    for name in ("open", "stat", "lstat", "mkdir", "unlink", "replace", "link", "chmod", "scandir"):
        installation.by_path(os, name, getattr(calls, name))
    for name in ("close", "write", "pread", "fsync", "fstat", "fchmod", "fdopen"):
        installation.by_number(os, name, getattr(calls, name))
    for name in UNSUPPORTED:
        installation.by_path(os, name, _unsupported(name))
        installation.by_number(os, name, _unsupported(name))
    installation.by_number(fcntl, "flock", calls.flock)
    installation.by_path(io, "open", calls.open_file)
    installation.put(os, "register_at_fork", lambda **_: None)
    installation.put(os, "getpid", calls.getpid)
    try:
        yield
    finally:
        installation.undo()
