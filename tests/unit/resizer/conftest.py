"""What the resizer's tests share."""

import pytest
from resizing import MemoryResizer


@pytest.fixture
def resizer() -> MemoryResizer:
    return MemoryResizer()
