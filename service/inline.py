"""How many rows of a model may be answered on the event loop: measured for each artefact when it is loaded.

A thread costs about 50 µs a request, four times what one row of the flights model takes
(bench/inference.py). But the event loop answers nothing else meanwhile, neither `/ready` nor the other slot's
request. So small batches of a fast model stay on the loop, and a slow model runs in threads only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from time import perf_counter
from typing import Final

import numpy as np
import orjson

from service.artefact import SAMPLES, Artefact
from service.features import Matrix, Schema
from service.problems import RequestError

INLINE_SECONDS: Final = 0.0005
"""Longest time that one request's model may hold the event loop."""
INLINE_ROWS: Final = (1, 2, 4, 8, 16, 32)
"""Batches that are tried. Beyond 32 rows a thread's 50 µs do not matter."""
TRIES: Final = 5
"""Calls of a batch, of which one must be fast enough: on a busy machine any call may be interrupted."""
MEASURE_SECONDS: Final = 2.0
"""After this no further call is made: the replica is not ready yet, and such a model belongs in threads."""


def inline_rows(
    predict: Callable[[Matrix], object],
    rows: Matrix,
    clock: Callable[[], float] = perf_counter,
) -> int:
    """The largest number of rows that the model answers within `INLINE_SECONDS`; 0 if none.

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

    most = 0
    for count in INLINE_ROWS:
        matrix = np.resize(rows, (count, rows.shape[1]))
        if not any(is_fast(matrix) for _ in range(TRIES)):
            break
        most = count
    return most


def typical_rows(artefact: Artefact, schema: Schema) -> Matrix:
    """Rows that the artefact carries as samples, up to 32; one row of zeros without usable ones.

    Equal rows take a tree ensemble the same path each time: 32 of them cost a fifth of 32 samples.
    """
    try:
        with (artefact.path / SAMPLES).open("rb") as file:
            return schema.encode([orjson.loads(line) for line in islice(file, INLINE_ROWS[-1])])
    except (FileNotFoundError, orjson.JSONDecodeError, RequestError):
        return np.zeros((1, len(schema.names)), dtype=np.float32)
