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
from support.processes.running_stack import Stack

LOOK_SECONDS: Final = 5.0
TEN_MINUTES: Final = 600.0
MOST_GROWTH: Final = 1.0
"""MB in ten minutes, after the warm-up."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of each part with all its descendants: the proportional set size in MB, and open descriptors."""

    seconds: float
    pss: Mapping[str, float]
    descriptors: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Growth:
    """Of a part: Pss at the first and last sample in MB, MB in ten minutes, descriptors likewise."""

    name: str
    first: float
    last: float
    slope: float
    descriptors: tuple[int, int]

    @property
    def flat(self) -> bool:
        """Whether it grows no more than it may."""
        return self.slope <= MOST_GROWTH


def sample(stack: Stack, seconds: float) -> Sample:
    """Look at all processes of a stack now; a child counts for the part that started it."""
    named = processes(stack)
    owners = {pid: name for name, pid in named.items()}
    pss, descriptors = dict.fromkeys(named, 0.0), dict.fromkeys(named, 0)
    for process in _family(named["supervisor"]):
        with suppress(psutil.Error, OSError):
            owner = next(
                owners[one.pid] for one in (process, *process.parents()) if one.pid in owners
            )
            pss[owner] += _pss(process.pid)
            descriptors[owner] += process.num_fds()
    return Sample(seconds, pss, descriptors)


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
    names = set.intersection(*(set(one.pss) for one in samples))
    return [
        Growth(
            name,
            samples[0].pss[name],
            samples[-1].pss[name],
            TEN_MINUTES
            * statistics.median(
                (b.pss[name] - a.pss[name]) / (b.seconds - a.seconds)
                for a, b in combinations(samples, 2)
            ),
            (
                max(one.descriptors[name] for one in samples[: len(samples) // 3 + 1]),
                max(one.descriptors[name] for one in samples[-len(samples) // 3 :]),
            ),
        )
        for name in sorted(names)
    ]


def table(found: Sequence[Growth]) -> str:
    """The growth of each part, in Markdown."""
    lines = [
        "| process | Pss, MB | MB in 10 min | descriptors |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {one.name} | {one.first:.1f} → {one.last:.1f} | {one.slope:+.2f} |"
            f" {one.descriptors[0]} → {one.descriptors[1]} |"
            for one in found
        ),
    ]
    return "\n".join(lines)


def _family(pid: int) -> list[psutil.Process]:
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def _pss(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    line = next(each for each in text.splitlines() if each.startswith("Pss:"))
    return int(line.split()[1]) / 1024
