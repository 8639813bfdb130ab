"""What the resizer's tests share."""

import pytest

from support.memory_resizer import MemoryResizer


@pytest.fixture
def resizer() -> MemoryResizer:
    return MemoryResizer()
