"""Fixtures of the resizer's tests."""

import pytest

from support.doubles.memory_resizer import MemoryResizer


@pytest.fixture
def resizer() -> MemoryResizer:
    return MemoryResizer()
