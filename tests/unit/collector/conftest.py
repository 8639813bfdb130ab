"""A collector harness."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.harnesses.collector_harness import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    made = Harness(tmp_path)
    yield made
    made.writer.close()
