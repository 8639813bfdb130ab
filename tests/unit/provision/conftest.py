"""Fixtures of the tests of one-shot jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.doubles.recorded_elasticsearch import RecordedElasticsearch, serve_recorded
from tidegate.settings import Settings, load


@pytest.fixture
def recorded() -> Iterator[RecordedElasticsearch]:
    with serve_recorded() as server:
        yield server


@pytest.fixture
def settings(recorded: RecordedElasticsearch, tmp_path: Path) -> Settings:
    """Settings that set up the recorded server."""
    (tmp_path / "elastic").write_text("bootstrap-password\n")
    return load(
        store={"elasticsearch": {"url": recorded.url}},
        provision={"secrets_dir": tmp_path, "start_seconds": 60},
    )
