"""The plan: a pure function of the schedule and the seed. The same arguments give the same bytes."""

from __future__ import annotations

import hashlib
import math
import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import accumulate
from typing import Final, NamedTuple

from tidegate.loadgen.plan.rates import Segment
from tidegate.loadgen.plan.request_kinds import ROWS_PER_REQUEST, RequestKind
from tidegate.loadgen.plan.scenario import Arrivals, Schedule

BODY_BITS: Final = 32
HALF: Final = Fraction(1, 2)


class Planned(NamedTuple):
    """One request to send."""

    at: float
    """When, in seconds since the start of the run, to the microsecond."""
    kind: RequestKind
    """Its kind, which is its number of rows."""
    body: int
    """Which body: a number below 2³², to be taken modulo the number of bodies there are."""


def make_plan(schedule: Schedule, seed: int) -> list[Planned]:
    """Every request of a run, in the order of sending.

    Times, kinds and bodies are drawn from streams of their own, so that another mix of kinds leaves
    the times as they are. `random.Random` seeded with text, and its `random()`, give the same numbers
    in every version of Python.
    """
    kinds = schedule.kinds
    limits = list(accumulate(schedule.weights.of(kind) for kind in kinds))
    kind_of = random.Random(f"{seed}:kinds")  # noqa: S311 - repeatable, not secret
    body_of = random.Random(f"{seed}:bodies")  # noqa: S311
    return [
        Planned(
            at,
            kinds[min(bisect_right(limits, kind_of.random() * limits[-1]), len(kinds) - 1)],
            int(body_of.random() * 2**BODY_BITS),
        )
        for at in arrival_times(schedule.segments, schedule.arrivals, seed)
    ]


def arrival_times(segments: Iterable[Segment], arrivals: Arrivals, seed: int) -> Iterator[float]:
    """When requests are sent, in seconds since the start, ascending, to the microsecond.

    With Λ(t) the integral of the rate, request i belongs at the t where Λ(t) = i + ½. So each stretch
    of the schedule sends its integral, rounded, and what is rounded off goes to the next stretch.

    `even` sends it right there. `poisson` keeps each segment's count and draws that many points
    uniform in Λ: given their number, the arrivals of a Poisson process are just that (its order
    statistics property), and a run of 1200 requests is one of 1200 whatever the seed.
    """
    draw = random.Random(f"{seed}:arrivals")  # noqa: S311
    begin, sent, last = Fraction(0), Fraction(0), 0.0
    for segment in segments:
        first = math.ceil(sent - HALF)
        count = math.ceil(sent + segment.requests - HALF) - first
        if arrivals == "even":
            offset = float(first + HALF - sent)
            requests = [offset + number for number in range(count)]
        else:
            total = float(segment.requests)
            requests = sorted(draw.random() * total for _ in range(count))
        start = float(begin)
        for so_far in requests:
            # Where segments meet, the two sides may differ in the last digit of a float.
            last = max(last, round(start + segment.when(so_far), 6))
            yield last
        begin += segment.seconds
        sent += segment.requests


def plan_csv(plan: Iterable[Planned]) -> Iterator[str]:
    """The plan as lines of CSV, the header first, each with its line end."""
    yield "planned_s,kind,rows,body\n"
    for at, kind, body in plan:
        yield f"{at:.6f},{kind},{ROWS_PER_REQUEST[kind]},{body}\n"


def digest(plan: Iterable[Planned]) -> str:
    """The SHA-256 of the plan's CSV, in hexadecimal: equal for equal plans."""
    sha = hashlib.sha256()
    for line in plan_csv(plan):
        sha.update(line.encode())
    return sha.hexdigest()
