"""What the gateway's own counters show between two ticks, by which a decision need not wait for the next one.

Prometheus has a jump after a scrape, an evaluation of the rules and a part of its window, ten seconds later;
the gateway's counters have it at once, but a rate over a second is mostly noise. So only two things count:

- A jump: more requests in the last seconds than the time before explains. With n of N + n requests in w of
  W + w seconds, the logarithm of how much likelier two rates are than one is n·ln(n/m) + N·ln(N/M), where m
  and M are what one rate gives each part. By Chernoff's bound chance exceeds x with a probability of at most
  exp(-x), at any rate and from any time of observation (D. Siegmund, "Sequential Analysis", 1985, chapter 2).
- A queue that is longer than the slots of the ready replicas in two reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

from tidegate.autoscaler.types import Decision, Policy, Signals

READ_SECONDS: Final = 0.5
"""The time between two reads."""
KEPT_READS: Final = 240
"""How many reads explain what arrives: two minutes."""
# A jump is in Prometheus' rates after this many reads, 15 s.
MOST_READS: Final = 30
# Arrivals come in batches where counts vary more than those of Poisson: by their variance over 2 s.
BATCH_READS: Final = 4
# Less is no time to count in.
LEAST_SECONDS: Final = 0.1
# One in a million: with 172,800 looks a day, each at 29 windows, which overlap.
CHANCE: Final = math.log(1e6)


@dataclass(frozen=True, slots=True)
class GatewayRead:
    """One read of the counters of all gateways.

    Attributes:
        seconds: since the read before.
        arrivals: requests that arrived since then, queued and refused ones included.
        queued: requests that wait now.
    """

    seconds: float
    arrivals: float
    queued: float


def with_gateway(
    signals: Signals, reads: Sequence[GatewayRead], *, at_tick: bool = False
) -> Signals:
    """The signals with what the gateway's counters show; `between` if they ask for a decision at once.

    Args:
        signals: of the last tick, or of this one.
        reads: oldest first, `READ_SECONDS` apart; a missing one may be left out. The last `KEPT_READS` count.
        at_tick: whether a decision is due anyway.
    """
    if not reads:
        return signals
    # The first read alone, which may be one that failed, shows no queue that stands.
    queued = min(one.queued for one in reads[-2:]) if len(reads) > 1 else 0.0
    jump = _jump(reads[-KEPT_READS:])
    slots = max(0, signals.ready) * max(0, signals.slots_per_replica or 0)
    # Of a stack that has just started nothing explains what arrives.
    counted = _sum(reads[-MOST_READS:]) if signals.arrival_rate is None else None
    arrivals, seconds = jump or counted or (None, None)
    asks = jump is not None or queued > slots
    return replace(
        signals,
        gateway_arrivals=arrivals,
        gateway_seconds=seconds,
        gateway_queued=queued,
        gateway_dispersion=_dispersion(reads[-KEPT_READS:]) if asks or at_tick else None,
        between=asks and not at_tick,
    )


def decide_between(
    policy: Policy, state: dict[str, Any], seen: Signals, now: float
) -> Decision | None:
    """The decision between two ticks, of signals `with_gateway`.

    None if the counters show nothing, or it would add no replica: then the policy learns nothing from it.
    """
    decision = policy(state, seen, now) if seen.between else None
    return decision if decision and decision.desired > seen.desired else None


def later(signals: Signals, seconds: float) -> Signals:
    """The same signals of Prometheus after this time, by which their ages have grown."""
    ages = {name: getattr(signals, name) for name in ("age_seconds", "gateway_age_seconds")}
    older = {name: age + seconds for name, age in ages.items() if age is not None}
    return replace(signals, **older)


def _sum(reads: Sequence[GatewayRead]) -> tuple[float, float]:
    return sum([one.arrivals for one in reads]), sum([one.seconds for one in reads])


def _jump(reads: Sequence[GatewayRead]) -> tuple[float, float] | None:
    """The requests that arrived since the last jump, and in how many seconds; None if there was none.

    Of all times at which one may have begun, the likeliest; then again in the reads since then, as a load may
    rise in steps.
    """
    older, batch, jump = reads[:-MOST_READS], 0.0, None
    while found := _likeliest(reads):
        since, requests, likelier = found
        # At most reads nothing is likely enough, and batches, which make it less so, need not be counted.
        batch = batch or _batch(older)
        if likelier <= CHANCE * batch:
            break
        reads, jump = reads[-since:], requests
    return jump


def _likeliest(reads: Sequence[GatewayRead]) -> tuple[int, tuple[float, float], float] | None:
    """The reads since the likeliest jump, its requests and seconds, and by how much it is likelier than none.

    None if no jump is likelier than `CHANCE`. The fullest read does not count: a batch that arrives at once
    is no rate.
    """
    total, span = _sum(reads)
    found, most = None, CHANCE
    count = seconds = 0.0
    fullest = GatewayRead(0.0, 0.0, 0.0)
    for number, one in enumerate(reads[: -MOST_READS - 1 : -1], 1):
        count, seconds = count + one.arrivals, seconds + one.seconds
        if one.arrivals > fullest.arrivals:
            fullest = one
        part, during = count - fullest.arrivals, seconds - fullest.seconds
        likelier = _likelier(part, during, total - count, span - seconds)
        if likelier > most:
            found, most = (number, (part, during), likelier), likelier
    return found


def _likelier(count: float, seconds: float, before: float, span: float) -> float:
    """The logarithm of how much likelier two rates are than one; 0 unless the later one is higher."""
    known = count >= 1 and min(seconds, span) >= LEAST_SECONDS
    if not known or count * span <= before * seconds:
        return 0.0
    rate = (count + before) / (seconds + span)
    earlier = before * math.log(before / (rate * span)) if before >= 1 else 0.0
    return count * math.log(count / (rate * seconds)) + earlier


def _batch(reads: Sequence[GatewayRead]) -> float:
    """How many requests come at once, at least 1: the variance of counts over 2 s, divided by their mean.

    The largest difference is left out with its neighbours if it is that of a step: what a batch adds, it
    takes away in the next.
    """
    counts = [
        GatewayRead(seconds, arrivals, 0.0)
        for first in range(0, len(reads) - BATCH_READS + 1, BATCH_READS)
        for arrivals, seconds in [_sum(reads[first : first + BATCH_READS])]
    ]
    differences = _differences(counts)
    largest = max(differences, key=abs, default=0.0)
    at = differences.index(largest) if differences else 0
    around = slice(max(0, at - 1), at + 2)
    # Counts of batches are often exactly half, which rounding must not make more.
    if abs(sum(differences[around])) > 0.501 * abs(largest):
        del differences[around]
    return _mean_square(differences)


def _dispersion(reads: Sequence[GatewayRead]) -> float:
    """The variance of the counts of all reads, divided by their mean, at least 1.

    One batch alone, which makes the two largest differences, says nothing of the next.
    """
    return _mean_square(sorted(_differences(reads), key=abs)[:-2])


def _differences(reads: Sequence[GatewayRead]) -> list[float]:
    """By how much the rate differs from one read to the next, in standard deviations of Poisson arrivals.

    The mean of their squares is the variance of counts, divided by their mean (J. von Neumann, "The mean
    square successive difference", Annals of Mathematical Statistics 12, 1941), also where reads are not
    equally long: the one before a tick is shorter, and one after a read that failed is longer.
    """
    known = [one for one in reads if one.seconds >= LEAST_SECONDS]
    total, span = _sum(known)
    if total < 1:
        return []
    # Of each read its rate, and the variance of a Poisson one.
    rates = [(one.arrivals / one.seconds, total / span / one.seconds) for one in known]
    return [
        (later - earlier) / math.sqrt(before + after)
        for (earlier, before), (later, after) in pairwise(rates)
    ]


def _mean_square(differences: Sequence[float]) -> float:
    """The mean of the squares, at least 1."""
    return max(1.0, sum([one**2 for one in differences]) / max(1, len(differences)))
