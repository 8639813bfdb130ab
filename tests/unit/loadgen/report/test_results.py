"""The files of a run: written, linked as the latest, and read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.samples.load_run import SIGNALS, recorded, summary_of
from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.runs import new_folder, read_summary
from tidegate.loadgen.run import write_run

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_each_run_has_a_folder_named_after_its_time(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "runs"
    assert new_folder(out, NOW).name == "2026-01-02T03-04-05Z"
    assert new_folder(out, NOW).name == "2026-01-02T03-04-05Z-2"


def test_a_folder_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out .*file"):
        new_folder(tmp_path / "file", NOW)
    with pytest.raises(UsageError, match=r"--out .*file/x: cannot be written: Not a directory"):
        new_folder(tmp_path / "file" / "x", NOW)


def test_a_written_run_is_read_back_as_the_latest(tmp_path: Path) -> None:
    for _ in range(2):
        folder = new_folder(tmp_path, NOW)
        write_run(folder, summary_of(recorded()), recorded(), SIGNALS)
        assert (tmp_path / "latest").resolve() == folder
    assert read_summary(tmp_path / "latest") == summary_of(recorded())


def test_a_missing_or_invalid_summary_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the folder of a run"):
        read_summary(tmp_path)
    (tmp_path / "summary.json").write_text(json.dumps({"planned": "many"}))
    with pytest.raises(UsageError, match=r"summary\.json: invalid summary: planned: "):
        read_summary(tmp_path)
