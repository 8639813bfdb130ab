"""Bodies that are sent as they are in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan import raw_bodies
from tidegate.loadgen.plan.raw_bodies import RawBodies, read_bodies


def test_each_line_is_a_body_without_its_end(tmp_path: Path) -> None:
    file = tmp_path / "bodies.txt"
    file.write_bytes(b'{"q": 1}\r\n\n name=tea&size=2 \n\xff\x00')
    assert read_bodies(file) == [b'{"q": 1}', b" name=tea&size=2 ", b"\xff\x00"]


def test_requests_take_the_bodies_in_turn_whatever_their_kind() -> None:
    bodies = RawBodies([b"a", b"b"])
    assert [bodies.of("light", 0), bodies.of("heavy", 1), bodies.of("light", 2)] == [
        b"a",
        b"b",
        b"a",
    ]
    assert RawBodies([]).of("light", 7) is None


def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bodies.txt"
    with pytest.raises(UsageError, match=r"--body .*bodies.txt: cannot be read: No such file"):
        read_bodies(file)
    file.write_bytes(b"\n\n")
    with pytest.raises(UsageError, match="contains no body; write one per line"):
        read_bodies(file)
    file.write_bytes(b"abc\nabcd\n")
    monkeypatch.setattr(raw_bodies, "MAX_BYTES", 6)
    with pytest.raises(UsageError, match="more than 6 bytes"):
        read_bodies(file)
