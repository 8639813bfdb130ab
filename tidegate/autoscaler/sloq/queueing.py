"""The M/M/c queue: how long requests wait for one of c slots.

Requests arrive at rate λ and hold a slot for a mean time s, so the offered load is A = λ·s (in
Erlangs: the mean number of busy slots, if there were enough). With c slots:

- Erlang B, the fraction of time that all are busy if no request could wait, by the recurrence
  B(0) = 1, B(c) = A·B(c-1) / (c + A·B(c-1)). Every term lies in [0, 1], so nothing overflows and
  nothing cancels, unlike in the textbook's sum of powers over factorials.
- Erlang C, the fraction of requests that must wait: C = B / (1 - u·(1 - B)) with the utilisation u = A/c.
- Their wait is exponential: P(wait > t) = C·exp(-(c - A)·t/s).

Where requests wait z times as long, by the peakedness z of their traffic, the system behaves like one of c/z
slots with a load of A/z (Hayward's approximation).

Sources: D. L. Jagerman, "Some properties of the Erlang loss function", Bell System Technical Journal
53(3), 1974 (the recurrence); L. Kleinrock, "Queueing Systems", volume 1, 1975, section 3.4 (C and the
wait); S. Halfin and W. Whitt, "Heavy-traffic limits for queues with many exponential servers",
Operations Research 29(3), 1981 (why the result is A + β·√A: square-root staffing); A. A. Fredericks,
"Congestion in blocking systems: a simple approximation technique", Bell System Technical Journal 59(6), 1980.
"""

from __future__ import annotations

import math


def slots_needed(
    load: float,
    patience: float,
    late: float,
    *,
    utilisation: float = 1.0,
    peakedness: float = 1.0,
    max_slots: int,
) -> int:
    """The fewest slots with load < utilisation·slots and P(wait > t) ≤ late; at most `max_slots`.

    One pass of the recurrence finds it, since P(wait > t) decreases with more slots. Between whole numbers of
    c/z its logarithm is taken as linear.

    Args:
        load: A ≥ 0, in Erlangs.
        patience: t/s ≥ 0, the wait in mean service times.
        late: the fraction of requests that may wait longer, in (0, 1).
        utilisation: the maximum mean fraction of busy slots, in (0, 1].
        peakedness: z ≥ 1; 1 for Poisson arrivals.
        max_slots: the maximum to return.
    """
    if load <= 0:
        return 0
    if load >= utilisation * max_slots:
        return max_slots
    # The quotient of a tiny load may be 0, by which the next lines would divide.
    scaled = max(load / peakedness, math.ulp(0.0))
    # Any start this far below the load is right to 20 digits: its error shrinks by exp(-50) on the way.
    first = max(0, math.floor(scaled - 10 * math.sqrt(scaled)))
    blocked, before = 1 - first / scaled, 0.0
    for slots in range(first + 1, math.ceil(max_slots / peakedness) + 1):
        blocked = scaled * blocked / (slots + scaled * blocked)
        if scaled >= slots:
            continue
        waiting = blocked / (1 - scaled / slots * (1 - blocked))
        exceeds = math.log(max(waiting, 1e-300)) - (slots - scaled) * patience
        if exceeds <= math.log(late):
            part = (math.log(late) - before) / (exceeds - before)
            # A product may be a hair above a whole number.
            needed = math.ceil(peakedness * (slots - 1 + part) - 1e-9)
            return min(max_slots, max(needed, math.floor(load / utilisation) + 1))
        before = exceeds
    return max_slots
