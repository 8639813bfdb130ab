"""The file with the slots in force: what is no number changes nothing, and is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.runtime.slots_file import SlotsFile


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = SlotsFile(tmp_path / "slots", most=8)
    assert file.read() == (None, "")
    for slots in (8, 1):
        file.write(slots)
        assert file.read() == (slots, "")
    assert [one.name for one in tmp_path.iterdir()] == ["slots"]


@pytest.mark.parametrize(
    "content",
    [b"", b"0", b"9", b"-1", b"2.5", b"two", b"\xff\xfe", "²".encode(), b"9" * 5000],
)
def test_what_is_no_number_within_the_bounds_is_none_and_is_said(
    tmp_path: Path, content: bytes
) -> None:
    file = SlotsFile(tmp_path / "slots", most=8)
    file.path.write_bytes(content)
    slots, problem = file.read()
    assert slots is None
    assert problem.startswith(f"{file.path} holds ")
    assert problem.endswith("which is no number from 1 to 8")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    assert SlotsFile(tmp_path, most=8).read() == (
        None,
        f"{tmp_path} cannot be read: Is a directory",
    )


def test_a_number_that_cannot_be_written_leaves_the_one_that_was_there(tmp_path: Path) -> None:
    file = SlotsFile(tmp_path / "gone" / "slots", most=8)
    with pytest.raises(FileNotFoundError):
        file.write(2)
