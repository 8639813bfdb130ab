"""The largest batch that is predicted on the event loop, measured when an artefact is loaded.

A thread costs about 50 µs per request, four times the prediction of one row of the flights model
(bench/inference.py). But a prediction on the event loop blocks `/ready` and the requests of other slots. So
small batches of a fast model run on the event loop, and a slow model runs in threads only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Final

import numpy as np
import orjson

from tidegate.service.model.artefact import SAMPLES, Artefact
from tidegate.service.model.features import Matrix, Schema
from tidegate.service.request_errors import RequestError

INLINE_SECONDS: Final = 0.0005
"""Longest prediction that may block the event loop."""
INLINE_ROWS: Final = (1, 2, 4, 8, 16, 32)
"""Batch sizes to measure. Beyond 32 rows the 50 µs of a thread are negligible."""
TRIES: Final = 5
"""Calls per batch size, of which one must be fast enough: a busy machine may interrupt any call."""
MEASURE_SECONDS: Final = 2.0
"""Time limit of the measurement, which delays readiness; a slower model runs in threads."""


def inline_rows(
    predict: Callable[[Matrix], object],
    rows: Matrix,
    clock: Callable[[], float] = perf_counter,
) -> int:
    """The largest number of rows that the model predicts within `INLINE_SECONDS`; 0 if none.

    It stops at the first batch that is too slow, and after `MEASURE_SECONDS`.

    Args:
        predict: the model.
        rows: rows to measure with; repeated as needed.
        clock: a monotonic clock, in seconds.
    """
    end = clock() + MEASURE_SECONDS

    def is_fast(matrix: Matrix) -> bool:
        start = clock()
        if start >= end:
            return False
        predict(matrix)
        return clock() - start <= INLINE_SECONDS

    max_rows = 0
    for count in INLINE_ROWS:
        matrix = np.resize(rows, (count, rows.shape[1]))
        if not any(is_fast(matrix) for _ in range(TRIES)):
            break
        max_rows = count
    return max_rows


def typical_rows(artefact: Artefact, schema: Schema) -> Matrix:
    """Up to 32 sample rows of the artefact; one row of zeros if it has no usable ones.

    Equal rows take the same path through a tree ensemble: 32 of them cost a fifth of 32 samples.
    """
    try:
        with (artefact.path / SAMPLES).open("rb") as file:
            return schema.encode([orjson.loads(line) for line in islice(file, INLINE_ROWS[-1])])
    except (FileNotFoundError, orjson.JSONDecodeError, RequestError):
        return np.zeros((1, len(schema.names)), dtype=np.float32)
