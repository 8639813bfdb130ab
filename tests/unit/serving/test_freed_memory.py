"""A replica that becomes ready keeps no memory that loading has freed."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from tidegate.serving.lifecycle import Lifecycle

BLOCKS, BLOCK_BYTES = 20_000, 4_000


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_memory_that_was_freed_while_loading_is_returned_when_the_replica_is_ready() -> None:
    process, lifecycle = psutil.Process(), Lifecycle()
    lifecycle.begin("the model")
    blocks = [bytes(BLOCK_BYTES) for _ in range(BLOCKS)]
    # The last block stays, so that the end of the heap cannot be returned by itself.
    del blocks[:-1]
    before = process.memory_info().rss
    lifecycle.end("the model")
    assert before - process.memory_info().rss > BLOCKS * BLOCK_BYTES / 2
