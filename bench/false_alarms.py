"""Jumps that the gateway's counters show in traffic that has none: `python -m bench.false_alarms`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tidegate.autoscaler.gateway_signals import (
    KEPT_READS,
    READ_SECONDS,
    GatewayRead,
    with_gateway,
)
from tidegate.autoscaler.types import Signals

# Requests a second, and of how many that arrive at once.
TRAFFIC: Final = ((1.0, 1), (30.0, 1), (1000.0, 1), (30.0, 5), (30.0, 20), (2.0, 20), (1 / 6, 50))
JUMPS: Final = (2, 5, 20)
QUIET_SECONDS: Final = 120.0
AFTER_SECONDS: Final = 15.0
RUNS: Final = 100
# Without a rate of Prometheus all counts, as after a start.
MEASURED: Final = Signals(arrival_rate=0.0)


def main() -> None:
    """Look each half second, as the autoscaler does; then at real jumps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="of each constant traffic (24)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = np.random.default_rng(arguments.seed)
    print("requests/s  at once  jumps in 24 h  most requests/s of one")
    for rate, batch in TRAFFIC:
        seen = list(false_jumps(random, rate, batch, 3600 * arguments.hours))
        a_day = len({one.number for one in seen}) * 24 / arguments.hours
        most = max((one.rate for one in seen), default=0.0)
        print(f"{rate:10.3g}  {batch:7}  {a_day:13.1f}  {most:22.0f}")
    print("\nfrom requests/s  to  seconds until it is seen: p50  p90")
    for rate in (1.0, 30.0, 300.0):
        for factor in JUMPS:
            seconds = [delay(random, rate, factor * rate) for _ in range(RUNS)]
            p50, p90 = np.quantile(seconds, (0.5, 0.9), method="lower")
            print(f"{rate:15g}  {factor * rate:6g}  {p50:25.1f}  {p90:.1f}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A jump that is seen: its number, and requests a second."""

    number: int
    rate: float


def false_jumps(
    random: np.random.Generator, rate: float, batch: int, seconds: float
) -> Iterator[Seen]:
    """Each read at which constant traffic looks like a jump; reads in a row are one of them."""
    reads, number, before = list[GatewayRead](), 0, False
    for batches in random.poisson(rate / batch * READ_SECONDS, round(seconds / READ_SECONDS)):
        reads = [*reads, GatewayRead(READ_SECONDS, float(batches * batch), 0.0)][-KEPT_READS:]
        seen = with_gateway(MEASURED, reads)
        if seen.gateway_arrivals and seen.gateway_seconds:
            number += not before
            yield Seen(number, seen.gateway_arrivals / seen.gateway_seconds)
        before = seen.gateway_arrivals is not None


def delay(random: np.random.Generator, before: float, after: float) -> float:
    """Seconds from a jump, at any time between two reads, until it is seen; infinite if it is not in 15 s."""
    at = QUIET_SECONDS + random.uniform(0, READ_SECONDS)
    arrivals = np.concatenate(
        [
            random.uniform(0, at, random.poisson(before * at)),
            random.uniform(at, at + AFTER_SECONDS, random.poisson(after * AFTER_SECONDS)),
        ]
    )
    counts, edges = np.histogram(arrivals, np.arange(0, at + AFTER_SECONDS, READ_SECONDS))
    reads = [GatewayRead(READ_SECONDS, float(count), 0.0) for count in counts]
    for number, edge in enumerate(edges[1:], 1):
        if edge > at and with_gateway(MEASURED, reads[:number]).gateway_arrivals:
            return float(edge - at)
    return float("inf")


if __name__ == "__main__":
    main()
