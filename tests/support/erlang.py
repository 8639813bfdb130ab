"""Erlang C as the textbook has it: another way to the numbers of `tidegate.autoscaler.sloq.queueing`."""

from __future__ import annotations

import math
from itertools import accumulate


def wait_exceeds(slots: int, load: float, patience: float) -> float:
    """P(wait > t) in the M/M/c queue.

    1/B is the sum of c!/(c-k)!·A^-k for k from 0 to c (L. Kleinrock, "Queueing Systems", volume 1, 1975,
    section 3.4, divided by its last term).

    Args:
        slots: c ≥ 0.
        load: A ≥ 0, in Erlangs.
        patience: t/s, the wait in mean times in a slot.
    """
    if load >= slots:
        return 1.0
    if load == 0:
        return 0.0
    terms = accumulate(range(slots, 0, -1), lambda term, left: term * left / load, initial=1.0)
    blocked = 1 / math.fsum(terms)
    must_wait = blocked / (1 - load / slots * (1 - blocked))
    return must_wait * math.exp(-(slots - load) * patience)
