"""Bodies: real rows, encoded once, with bounded memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.plan import bodies
from tidegate.loadgen.plan.bodies import Bodies, read_rows
from tidegate.loadgen.plan.request_kinds import REQUEST_KINDS, ROWS_PER_REQUEST


def test_a_body_has_the_number_of_rows_of_its_kind() -> None:
    rows = [b'{"n":%d}' % number for number in range(100)]
    made = Bodies(rows, REQUEST_KINDS)
    for kind in REQUEST_KINDS:
        body = json.loads(made.of(kind, 98))
        assert body["work"] == kind
        numbers = [row["n"] for row in body["instances"]]
        assert numbers == [(98 + offset) % 100 for offset in range(ROWS_PER_REQUEST[kind])]
        assert made.of(kind, 98) is made.of(kind, 198)


def test_blank_lines_are_skipped_and_the_number_of_rows_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "MAX_ROWS", 2)
    path = tmp_path / "rows.ndjson"
    path.write_text('{"a": 1}\n\n  {"a": "x"}  \nnot even JSON\n')
    assert read_rows(path) == [b'{"a":1}', b'{"a":"x"}']


def test_large_rows_give_fewer_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "POOL_BYTES", 1000)
    made = Bodies([b'{"text":"%b"}' % (b"x" * 300), b"{}", b"{}"], ["light"])
    assert made.of("light", 0) == made.of("light", 3)
    huge = Bodies([b'{"text":"%b"}' % (b"x" * 3000), b"{}"], ["light"])
    assert huge.of("light", 1) == huge.of("light", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rows.ndjson: contains no rows"),
        ('{"a": 1}\n{"a": NaN}\n', "rows.ndjson:2: invalid JSON"),
        ("[1, 2]\n", "rows.ndjson:1: not a JSON object of features"),
        ('{"a": 1\n', "rows.ndjson:1: invalid JSON"),
    ],
)
def test_an_invalid_row_is_an_error_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_rows(path)
    assert message in str(caught.value)


def test_a_missing_file_is_an_error_that_says_where_files_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not exist: set --rows to a file of rows") as found:
        read_rows(tmp_path / "rows.ndjson")
    assert "tidegate train" not in str(found.value)  # which makes rows of the flights only
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_rows(tmp_path)
