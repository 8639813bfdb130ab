"""Bodies: of real rows or as they are in a file, encoded once, with bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from yarl import URL

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan import bodies
from tidegate.loadgen.plan.bodies import (
    bodies_of_rows,
    read_bodies,
    read_rows,
)
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS, ROWS_PER_REQUEST
from tidegate.loadgen.send.sender import Target


def test_a_body_has_the_number_of_rows_of_its_kind() -> None:
    rows = [b'{"n":%d}' % number for number in range(100)]
    made = bodies_of_rows(rows, REQUEST_KINDS)
    for kind in REQUEST_KINDS:
        target = Target(URL("http://127.0.0.1"), made[kind])
        body = json.loads(target.body(98) or b"")
        assert body["work"] == kind
        numbers = [row["n"] for row in body["instances"]]
        assert numbers == [(98 + offset) % 100 for offset in range(ROWS_PER_REQUEST[kind])]
        assert target.body(98) is target.body(198)


def test_large_rows_give_fewer_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "POOL_BYTES", 1000)
    large = b'{"text":"%b"}' % (b"x" * 300)
    assert len(bodies_of_rows([large] * 5, ["light"])["light"]) == 2
    assert len(bodies_of_rows([large * 10, b"{}"], ["light"])["light"]) == 1


def test_requests_take_the_bodies_of_a_file_in_turn() -> None:
    target = Target(URL("http://127.0.0.1"), [b"a", b"b"])
    assert [target.body(number) for number in range(3)] == [b"a", b"b", b"a"]
    assert Target(URL("http://127.0.0.1")).body(7) is None


def test_empty_lines_are_skipped_and_the_number_of_lines_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_LINES", 3)
    path = tmp_path / "file"
    path.write_text('{"a": 1}\n\n  {"a": "x"}  \n \nnot even JSON\n')
    assert read_rows(path) == [b'{"a":1}', b'{"a":"x"}']
    path.write_bytes(b'{"q": 1}\r\n\n name=tea&size=2 \n\xff\x00\nmore')
    assert read_bodies(path) == [b'{"q": 1}', b" name=tea&size=2 ", b"\xff\x00"]


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_rows, b"", "file: contains no rows"),
        (read_rows, b'{"a": 1}\n{"a": NaN}\n', "file:2: invalid JSON"),
        (read_rows, b"[1, 2]\n", "file:1: not a JSON object of features"),
        (read_rows, None, r"file: cannot be read: No such file .*; set --rows to a file of rows"),
        (read_bodies, None, r"--body .*file: cannot be read: No such file or directory$"),
        (read_bodies, b"\n\n", "contains no body; write one per line"),
        (read_bodies, b"abc\nab" + b"x" * 100, "more than 100 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], object],
    content: bytes | None,
    message: str,
) -> None:
    monkeypatch.setattr(bodies, "MAX_BYTES", 100)
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read(path)
