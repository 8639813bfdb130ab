"""The access log: events go to event files, other lines to the raw output."""

from __future__ import annotations

import json
from pathlib import Path

from tidegate.settings import load
from tidegate.stack.gateway.access_log import AccessLog


def lines_in(folder: Path) -> list[dict[str, object]]:
    return [
        json.loads(text)
        for path in sorted(folder.glob("*.ndjson"))
        for text in path.read_text().splitlines()
    ]


def test_access_events_go_to_event_files_and_other_lines_to_the_raw_output(tmp_path: Path) -> None:
    access = AccessLog.from_settings(load(stack={"data_dir": tmp_path}), tmp_path / "gateway.log")
    for text in (b'{"a":1}', b"[WARNING] x", b'{"broken', b"[1]", b'{"a":2}'):
        access(text)
    access.close()
    assert lines_in(tmp_path / "logs") == [{"a": 1}, {"a": 2}]
    raw_output = (tmp_path / "gateway.log").read_bytes().splitlines()
    assert raw_output == [b"[WARNING] x", b'{"broken', b"[1]"]


def test_a_line_that_cannot_be_written_is_dropped_without_an_error(tmp_path: Path) -> None:
    access = AccessLog.from_settings(
        load(stack={"data_dir": tmp_path}), tmp_path / "none" / "gateway.log"
    )
    access(b"[WARNING] x")
