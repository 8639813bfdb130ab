"""A store of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.store.embedded.store import EmbeddedStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Iterator[EmbeddedStore]:
    with closing(EmbeddedStore(root)) as opened:
        yield opened
