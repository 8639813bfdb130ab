"""The simulated files behave as the kernel's: the same calls have the same results on both."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from .files import ROOT, FileSystem
from .machine import KilledError, Machine, Process, UnsupportedCallError
from .shrink import shrink
from .system_calls import SystemCalls, installed

NAMES = ("a", "b", "c")


def result(call: Callable[[], object]) -> object:
    """What a call returns, or the number of its error."""
    try:
        return call()
    except OSError as error:
        return f"error {error.errno}"


def open_file(path: Path, flags: int, opened: list[int]) -> str:
    opened.append(os.open(path, flags, 0o600))
    return "opened"


def close(number: int, opened: list[int]) -> None:
    opened.remove(number)
    os.close(number)


def status(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_nlink


def renamed(path: Path, target: Path) -> None:
    path.replace(target)


def listed(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder))


def links(number: int) -> int:
    return os.fstat(number).st_nlink


def random_calls(folder: Path, seed: int) -> list[object]:
    """The results of calls that a seed draws."""
    random, found, opened = Random(seed), list[object](), list[int]()
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(60):
        path, other = (folder / random.choice(NAMES) for _ in range(2))
        number = random.choice(opened) if opened else -1
        data = bytes([random.randint(65, 90)]) * random.randint(1, 20)
        flags = os.O_RDWR | random.choice((0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_APPEND))
        flags |= random.choice((0, os.O_NOFOLLOW, os.O_TRUNC))
        lock = random.choice((fcntl.LOCK_EX, fcntl.LOCK_SH)) | fcntl.LOCK_NB
        calls: list[Callable[[], object]] = [
            *(partial(open_file, path, flags, opened),) * 2,
            partial(status, path),
            path.unlink,
            partial(renamed, path, other),
            partial(path.hardlink_to, other),
            path.read_bytes,
            partial(listed, folder),
        ]
        if opened:
            calls += [
                partial(close, number, opened),
                partial(os.write, number, data),
                partial(os.pread, number, 30, 5),
                partial(links, number),
                partial(fcntl.flock, number, lock),
                partial(os.fsync, number),
            ]
        found.append(result(random.choice(calls)))
    for number in opened:
        os.close(number)
    return found


def simulated(main: Callable[[SystemCalls], object]) -> None:
    """Run a function in a process of a simulated machine."""
    calls = SystemCalls()
    machine = calls.machine
    with installed(calls):
        machine.run([machine.spawn(machine.start("test"), lambda: main(calls))], Random(0))


@pytest.mark.parametrize("seed", range(60))
def test_calls_have_the_results_of_the_kernel(tmp_path: Path, seed: int) -> None:
    found: list[object] = []
    simulated(lambda _: found.extend(random_calls(Path(ROOT) / "files", seed)))
    assert found == random_calls(tmp_path / "files", seed)


def after_power_failures(write: Callable[[FileSystem], object]) -> set[bytes | None]:
    """What a file `a` may contain after a power failure; None if it is gone."""
    contents = set[bytes | None]()
    for seed in range(300):
        files = FileSystem()
        write(files)
        files.lose_power(Random(seed))
        inode = files.find(f"{ROOT}/a")
        contents.add(None if inode is None else bytes(inode.data))
    return contents


def written(files: FileSystem, data: bytes, name: str = "a") -> int:
    number = files.open(f"{ROOT}/{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    files.write(number, data)
    return number


def test_what_was_not_flushed_may_be_lost_at_any_byte() -> None:
    found = after_power_failures(lambda files: written(files, b"xyz"))
    assert {None, b"", b"x", b"xy", b"xyz"} <= found


def test_a_flushed_file_whose_name_is_not_flushed_may_be_gone_and_is_whole_otherwise() -> None:
    def write(files: FileSystem) -> None:
        files.described(written(files, b"xyz")).inode.flush()

    assert after_power_failures(write) == {None, b"xyz"}


def test_a_rename_is_undone_or_kept_until_the_folder_is_flushed() -> None:
    def write(files: FileSystem, *, durable: bool) -> None:
        for name, data in (("a", b"old"), ("b", b"new")):
            files.described(written(files, data, name)).inode.flush()
        files.root.flush()
        files.replace(f"{ROOT}/b", f"{ROOT}/a")
        if durable:
            files.root.flush()

    assert after_power_failures(lambda files: write(files, durable=False)) == {b"old", b"new"}
    assert after_power_failures(lambda files: write(files, durable=True)) == {b"new"}


def test_a_full_disk_takes_a_part_of_a_write() -> None:
    files = FileSystem()
    files.free = 2
    number = files.open(f"{ROOT}/a", os.O_WRONLY | os.O_CREAT)
    assert files.write(number, b"xyz") == 2
    assert result(lambda: files.write(number, b"z")) == f"error {errno.ENOSPC}"


def test_a_killed_process_does_nothing_any_more() -> None:
    path = Path(ROOT) / "a"
    did = []

    def kill(process: Process, *_: str) -> None:
        machine.kill(process)
        raise KilledError

    def main() -> None:
        number = os.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            os.write(number, b"x")
            os.write(number, b"y")
        finally:
            did.append("tried to remove it")
            path.unlink()

    calls = SystemCalls()
    machine: Machine = calls.machine
    process = machine.start("victim")
    process.faults[4] = [kill]
    with installed(calls):
        machine.run([machine.spawn(process, main)], Random(0))
    inode = machine.files.get(str(path))
    assert (did, bytes(inode.data)) == (["tried to remove it"], b"x")
    assert not inode.locks


def test_a_call_that_is_not_simulated_fails_the_test() -> None:
    with pytest.raises(UnsupportedCallError, match="readlink"):
        simulated(lambda _: (Path(ROOT) / "a").readlink())


def test_shrinking_leaves_the_items_that_fail_together() -> None:
    assert shrink(range(100), lambda items: {17, 60, 61} <= set(items)) == [17, 60, 61]
