"""The plan of a run: a pure function of the schedule and the seed."""

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
from tidegate.loadgen.plan.request_kinds import ROWS_PER_REQUEST
from tidegate.loadgen.plan.scenario import Arrivals, Schedule

BODY_BITS: Final = 32
HALF: Final = Fraction(1, 2)


class PlannedRequest(NamedTuple):
    """A request to send."""

    at: float
    """Planned time in seconds since the start of the run, rounded to microseconds."""
    kind: str
    """Kind of the request, which determines its number of rows, or its route."""
    body: int
    """Number of the body, below 2³², to be used modulo the number of bodies."""


def make_plan(schedule: Schedule, seed: int) -> list[PlannedRequest]:
    """Return all requests of a run, in the order of sending.

    Times, kinds and bodies have separate random generators, so another mix of kinds does not change the
    times. `random.Random` seeded with text, and its `random()`, give the same numbers in all versions of
    Python.
    """
    kinds = tuple(schedule.weights)
    limits = list(accumulate(schedule.weights[kind] for kind in kinds))
    kind_of = random.Random(f"{seed}:kinds")  # noqa: S311 - repeatable, not secret
    body_of = random.Random(f"{seed}:bodies")  # noqa: S311
    return [
        PlannedRequest(
            at,
            kinds[min(bisect_right(limits, kind_of.random() * limits[-1]), len(kinds) - 1)],
            int(body_of.random() * 2**BODY_BITS),
        )
        for at in arrival_times(schedule.segments, schedule.arrivals, seed)
    ]


def arrival_times(segments: Iterable[Segment], arrivals: Arrivals, seed: int) -> Iterator[float]:
    """Return the planned times in seconds since the start, ascending, rounded to microseconds.

    With Λ(t) the integral of the rate, request i is due at the t where Λ(t) = i + ½. So each segment of the
    schedule sends its integral, rounded, and the remainder is carried over to the next segment.

    `even` sends each request at that time. `poisson` keeps the number of requests of each segment and draws
    points that are uniform in Λ: given their number, the arrivals of a Poisson process have this distribution
    (its order statistics property). So the number of requests does not depend on the seed.
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
            # At the boundary of two segments, the two times may differ by a rounding error.
            last = max(last, round(start + segment.time_of(so_far), 6))
            yield last
        begin += segment.seconds
        sent += segment.requests


def plan_csv(plan: Iterable[PlannedRequest]) -> Iterator[str]:
    """Return the lines of the plan as CSV with a header."""
    yield "planned_s,kind,rows,body\n"
    for at, kind, body in plan:
        yield f"{at:.6f},{kind},{ROWS_PER_REQUEST.get(kind, '')},{body}\n"


def digest(plan: Iterable[PlannedRequest]) -> str:
    """Return the SHA-256 of the plan's CSV in hexadecimal."""
    sha = hashlib.sha256()
    for line in plan_csv(plan):
        sha.update(line.encode())
    return sha.hexdigest()
