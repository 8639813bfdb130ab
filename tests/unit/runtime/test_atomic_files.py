"""A write is complete or has no effect, and leaves no temporary file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.runtime.atomic_files import atomic_file, remove_leftovers, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from tidegate.runtime.atomic_files import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"new")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.mark.parametrize("durable", [True, False])
def test_it_creates_a_private_file_and_replaces_it(path: Path, durable: bool) -> None:
    write_atomically(path, "one é", durable=durable)
    assert path.read_text(encoding="utf-8") == "one é"
    write_atomically(path, b"two", durable=durable)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_the_mode_does_not_depend_on_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_atomically(path, "", mode=0o644)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


def test_an_error_leaves_the_old_file(path: Path) -> None:
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_file(path) as file:
        file.write(b"new" * (1 // 0))
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_process_killed_before_the_rename_leaves_the_old_file(path: Path) -> None:
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False, timeout=60)
    assert done.returncode == -9
    assert path.read_text() == "old"
    assert len(list(path.parent.iterdir())) == 2
    remove_leftovers(path)
    assert list(path.parent.iterdir()) == [path]


def test_the_content_reaches_the_disk_before_the_name_and_then_the_folder(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = []
    replace, fsync = Path.replace, os.fsync

    def traced_replace(source: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(source, target)

    def traced_fsync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        fsync(descriptor)

    monkeypatch.setattr(Path, "replace", traced_replace)
    monkeypatch.setattr(os, "fsync", traced_fsync)
    write_atomically(path, "durable")
    assert steps == ["file", "rename", "folder"]
    steps.clear()
    write_atomically(path, "not durable", durable=False)
    assert steps == ["rename"]


def test_an_existing_file_is_kept_without_overwrite(path: Path) -> None:
    for content in (b"first", b"second"):
        with atomic_file(path, overwrite=False) as file:
            file.write(content)
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_symbolic_link_is_replaced_and_not_followed(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("of another owner")
    path.symlink_to(target)
    write_atomically(path, "new")
    assert target.read_text() == "of another owner"
    assert not path.is_symlink()


def test_an_error_names_the_file_and_not_the_temporary_one(path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_atomically(path / "below", "")
    assert raised.value.filename == str(path / "below")
