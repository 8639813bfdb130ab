"""Memory and descriptors of each part of a stack over time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Final

import psutil

from soak.injection import processes
from support.eventually import eventually
from support.processes.running_stack import Stack

LOOK_SECONDS: Final = 5.0
TEN_MINUTES: Final = 600.0
MOST_GROWTH: Final = 1.0
"""MB in ten minutes, after the warm-up."""
MORE_DESCRIPTORS: Final = 2
"""Such as a connection that is used again later; a leak opens one for each of so many requests or reads."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of each part with all its descendants: its share of memory in MB, and open descriptors.

    Attributes:
        own: anonymous memory, which only the process itself can free.
        files: of mapped files, such as the index of the store, which the kernel takes back as it needs.
    """

    seconds: float
    own: Mapping[str, float]
    files: Mapping[str, float]
    descriptors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a part: MB of its own and of files at the first and last sample, MB in ten minutes, and the fewest
    descriptors in the first and in the last third.
    """

    name: str
    own: tuple[float, float]
    files: tuple[float, float]
    slope: float
    descriptors: tuple[int, int]

    @property
    def flat(self) -> bool:
        """Whether it grows no more than it may."""
        return self.slope <= MOST_GROWTH


def sample(stack: Stack, seconds: float) -> Sample:
    """Look at all processes of a stack now; a child counts for the part that started it."""
    named = eventually(lambda: processes(stack), "the processes are known")
    owners = {pid: name for name, pid in named.items()}
    own, files = dict.fromkeys(named, 0.0), dict.fromkeys(named, 0.0)
    descriptors = dict.fromkeys(named, 0)
    for process in _family(named["supervisor"]):
        with suppress(psutil.Error, OSError):
            owner = next(
                owners[one.pid] for one in (process, *process.parents()) if one.pid in owners
            )
            share = shares(process.pid)
            own[owner] += share["Pss_Anon"]
            files[owner] += share["Pss"] - share["Pss_Anon"]
            descriptors[owner] += process.num_fds()
    return Sample(seconds, own, files, descriptors)


def watch(
    stack: Stack, seconds: float, ended: Callable[[], bool] = lambda: False
) -> Iterator[Sample]:
    """Samples each 5 s, for so long or until it has ended."""
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds and not ended():
        yield sample(stack, now)
        time.sleep(LOOK_SECONDS)


def growth(samples: Sequence[Sample]) -> list[Growth]:
    """How each part that all samples have grew.

    The slope is the median of those of all pairs of samples (Theil, 1950; Sen, 1968): a step or a peak in
    less than 29 % of them does not move it.
    """
    names = set.intersection(*(set(one.own) for one in samples))
    first, last = samples[0], samples[-1]
    return [
        Growth(
            name,
            (first.own[name], last.own[name]),
            (first.files[name], last.files[name]),
            TEN_MINUTES
            * statistics.median(
                (b.own[name] - a.own[name]) / (b.seconds - a.seconds)
                for a, b in combinations(samples, 2)
            ),
            (
                # The fewest: a merge of the index, or an answer, has some of its own for a moment.
                min(one.descriptors[name] for one in samples[: len(samples) // 3 + 1]),
                min(one.descriptors[name] for one in samples[-len(samples) // 3 :]),
            ),
        )
        for name in sorted(names)
    ]


def table(found: Sequence[Growth]) -> str:
    """The growth of each part, in Markdown."""
    lines = [
        "| process | own memory, MB | MB in 10 min | mapped files, MB | descriptors |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {one.name} | {one.own[0]:.1f} → {one.own[1]:.1f} | {one.slope:+.2f} |"
            f" {one.files[0]:.1f} → {one.files[1]:.1f} | {one.descriptors[0]} → {one.descriptors[1]} |"
            for one in found
        ),
    ]
    return "\n".join(lines)


def _family(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def shares(pid: int) -> dict[str, float]:
    """The proportional set size of a process in MB, by kind (proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {key[:-1]: int(value) / 1024 for key, value, _ in map(str.split, lines)}
