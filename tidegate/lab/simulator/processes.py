"""Simulations in several processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    simulate: Callable[[Job], Result], jobs: Sequence[Job], workers: int | None
) -> Iterator[Result]:
    """The results in the order of the jobs; in this process with one worker or one job, None: one per core.

    The children never collect what they inherit: objects of gRPC, as of an external scaler in this process,
    would then wait for threads that a fork does not copy, for ever.
    """
    workers = workers or os.cpu_count() or 1
    if workers == 1 or len(jobs) == 1:
        yield from map(simulate, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), initializer=gc.freeze) as pool:
        yield from pool.map(simulate, jobs)
