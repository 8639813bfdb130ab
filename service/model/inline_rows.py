"""The largest batch that is predicted on the event loop, measured when an artefact is loaded.

A thread costs about 50 µs per request, four times the prediction of one row of the flights model. But a
prediction on the event loop blocks `/ready` and the requests of other slots. So small batches of a fast model
run on the event loop, and a slow model runs in threads only.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

INLINE_SECONDS: Final = 0.0005
"""Longest prediction that may block the event loop."""
INLINE_ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128)
"""Batch sizes to measure. Beyond 128 rows the 50 µs of a thread are negligible."""
TRIES: Final = 5
"""Calls per batch size, of which one must be fast enough: a busy machine may interrupt any call."""
MEASURE_SECONDS: Final = 2.0
"""Time limit of the measurement, which delays readiness; a slower model runs in threads."""


def inline_rows(
    predict: Callable[[Any], object],
    resize: Callable[[int], Any],
    clock: Callable[[], float] = perf_counter,
) -> int:
    """The largest number of rows that the model predicts within `INLINE_SECONDS`; 0 if none.

    It stops at the first batch that is too slow, and after `MEASURE_SECONDS`. `resize` makes the batches.
    """
    end = clock() + MEASURE_SECONDS

    def is_fast(batch: Any) -> bool:
        start = clock()
        if start >= end:
            return False
        predict(batch)
        return clock() - start <= INLINE_SECONDS

    max_rows = 0
    for count in INLINE_ROWS:
        batch = resize(count)
        if not any(is_fast(batch) for _ in range(TRIES)):
            break
        max_rows = count
    return max_rows
