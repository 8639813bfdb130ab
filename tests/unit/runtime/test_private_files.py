"""Folders and files that only their owner may read."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from tidegate.runtime.private_files import make_private_folder, open_private_file


@pytest.mark.parametrize("before", [None, 0o755, 0o710, 0o700, 0o500])
def test_a_folder_is_restricted_to_its_owner(tmp_path: Path, before: int | None) -> None:
    folder = tmp_path / "data"
    if before is not None:
        folder.mkdir()
        folder.chmod(before)
    make_private_folder(folder)
    # One that is private already may be stricter.
    assert folder.stat().st_mode & 0o777 == (0o500 if before == 0o500 else 0o700)


@pytest.mark.parametrize(("mode", "content"), [("wb", b"new"), ("ab", b"oldnew")])
def test_an_existing_file_is_restricted_to_its_owner(
    tmp_path: Path, mode: Literal["wb", "ab"], content: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with open_private_file(path, mode) as file:
        file.write(b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o600)
