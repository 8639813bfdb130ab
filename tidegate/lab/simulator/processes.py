"""Simulations in several processes, with their progress."""

from __future__ import annotations

import gc
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from typing import TypeVar

from rich.progress import track

from tidegate.terminal_console import Console

Job = TypeVar("Job")
Result = TypeVar("Result")


def in_processes(
    simulate: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int | None,
) -> Iterator[Result]:
    """The results in the order of the jobs; a terminal shows the progress.

    Args:
        simulate: makes the result of a job.
        jobs: the jobs.
        workers: the number of processes; None: one per core. With one, or one job, it is this process.
    """
    console = Console(stderr=True)
    yield from track(
        _results(simulate, jobs, workers or os.cpu_count() or 1),
        "simulating",
        total=len(jobs),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _results(
    simulate: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Iterator[Result]:
    if workers == 1 or len(jobs) <= 1:
        yield from map(simulate, jobs)
        return
    # The children never collect what they inherit: objects of gRPC, as of an external scaler in this process,
    # would then wait for threads that a fork does not copy, for ever.
    with ProcessPoolExecutor(min(workers, len(jobs)), initializer=gc.freeze) as pool:
        # Few are under way at once, so that a stop by a key does not wait for all of them.
        left = iter(jobs)
        pending = deque(pool.submit(simulate, job) for job in islice(left, 4 * workers))
        while pending:
            yield pending.popleft().result()
            pending.extend(pool.submit(simulate, job) for job in islice(left, 1))
