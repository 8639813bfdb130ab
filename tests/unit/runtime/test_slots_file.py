"""The slots file: an invalid or unreadable file yields no number, and a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.runtime.slots_file import SlotsFile


def test_a_written_number_is_read_back(tmp_path: Path) -> None:
    file = SlotsFile(tmp_path / "slots", max_slots=8)
    assert file.read() == (None, "")
    for slots in (8, 1):
        file.write(slots)
        assert file.read() == (slots, "")
    assert [one.name for one in tmp_path.iterdir()] == ["slots"]


@pytest.mark.parametrize(
    "content",
    [b"", b"0", b"9", b"-1", b"2.5", b"two", b"\xff\xfe", "²".encode(), b"9" * 5000],
)
def test_invalid_content_yields_no_number_and_a_message(tmp_path: Path, content: bytes) -> None:
    file = SlotsFile(tmp_path / "slots", max_slots=8)
    file.path.write_bytes(content)
    slots, problem = file.read()
    assert slots is None
    assert problem.startswith(f"{file.path} contains ")
    assert problem.endswith("expected a number from 1 to 8")


def test_an_unreadable_file_yields_a_message(tmp_path: Path) -> None:
    assert SlotsFile(tmp_path, max_slots=8).read() == (
        None,
        f"{tmp_path} cannot be read: Is a directory",
    )
