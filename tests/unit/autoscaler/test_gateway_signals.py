"""What the gateway's counters show between ticks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples.signals import ANY_SIGNALS, CALM, DENORMAL
from tidegate.autoscaler.gateway_signals import GatewayRead, with_gateway
from tidegate.autoscaler.types import Signals


def reads_of(counts: list[float], queued: float = 0.0) -> list[GatewayRead]:
    """Reads half a second apart."""
    return [GatewayRead(0.5, count, queued) for count in counts]


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Arrivals of each half second."""
    drawn: list[float] = np.random.default_rng(seed).poisson(rate / 2, round(2 * seconds)).tolist()
    return drawn


def rate_of(seen: Signals) -> float:
    return (seen.gateway_arrivals or 0.0) / (seen.gateway_seconds or math.inf)


@pytest.mark.parametrize(("before", "after"), [(0, 30), (1, 30), (30, 150), (300, 600)])
def test_a_jump_is_seen_within_a_second_and_a_half_at_about_its_rate(
    before: float, after: float
) -> None:
    counts = poisson(before, 120, seed=1) + poisson(after, 1.5, seed=2)
    seen = with_gateway(CALM, reads_of(counts))
    assert seen.between
    assert rate_of(seen) == pytest.approx(after, rel=0.2)


@pytest.mark.parametrize(
    "before",
    [
        [(0, 10), (300, 12)],  # a stack that has just started
        [(0, 30), (300, 30)],  # whose first step explains nothing of what varies now
        [(0, 100), (300, 16)],
        [(10, 60), (60, 10), (150, 5)],
    ],
)
def test_a_jump_that_follows_another_is_seen_as_soon(before: list[tuple[float, float]]) -> None:
    last = before[-1][0]
    steps = [*before, (2 * last, 1.5)]
    counts = [one for n, (rate, seconds) in enumerate(steps) for one in poisson(rate, seconds, n)]
    assert rate_of(with_gateway(CALM, reads_of(counts))) == pytest.approx(2 * last, rel=0.2)


@pytest.mark.parametrize("rate", [0.1, 1.0, 30.0, 1000.0])
def test_constant_traffic_is_no_jump(rate: float) -> None:
    reads = reads_of(poisson(rate, 600, seed=3))
    for number in range(len(reads)):
        seen = with_gateway(CALM, reads[: number + 1][-240:])
        assert seen.gateway_arrivals is None
        assert not seen.between


def test_without_a_rate_of_prometheus_all_counts_but_is_no_jump() -> None:
    first = with_gateway(replace(CALM, arrival_rate=None), reads_of([0.0, 1.0, 1.0]))
    assert (first.gateway_arrivals, first.gateway_seconds, first.between) == (2.0, 1.5, False)


def test_a_batch_that_arrives_at_once_is_no_jump() -> None:
    assert not with_gateway(CALM, reads_of([0.0] * 200 + [100.0])).between
    assert not with_gateway(CALM, reads_of([0.0] * 200 + [100.0, 0.0])).between


def test_batches_of_which_the_last_minutes_had_several_are_no_jump() -> None:
    often = [20.0, 0.0, 0.0, 0.0, 0.0, 20.0, 0.0, 0.0, 0.0] * 20
    assert with_gateway(CALM, reads_of([1.0] * 180 + [15.0, 15.0])).between
    assert not with_gateway(CALM, reads_of([*often, 15.0, 15.0])).between


@pytest.mark.parametrize(
    ("ready", "queued", "between"),
    [
        (1, [4, 5, 5], True),  # more than the 4 slots in two reads
        (1, [5, 9, 4], False),  # no more
        (2, [9, 8, 9], False),
        (1, [0, 0, 400], False),  # one batch, which may be gone at the next read
        (0, [0, 1, 1], True),
    ],
)
def test_a_queue_counts_if_two_reads_have_more_than_the_slots(
    ready: int, queued: list[float], between: bool
) -> None:
    reads = [GatewayRead(0.5, 5.0, one) for one in queued]
    seen = with_gateway(replace(CALM, ready=ready), reads)
    assert (seen.between, seen.gateway_queued) == (between, min(queued[-2:]))
    assert seen.gateway_arrivals is None


BUNCHES = [12.0, 13.0, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        (poisson(1.0, 120, seed=4), 1.0, 1.4),
        (poisson(1000.0, 120, seed=5), 1.0, 1.4),
        (BUNCHES * 40, 6.0, 12.0),  # 25 requests in each third second
        ([*[0.0] * 100, 100.0, *[0.0] * 100], 1.0, 1.0),  # one batch
        ([*poisson(10.0, 60, seed=6), *poisson(60.0, 60, seed=7)], 1.0, 1.4),  # a step
        ([0.0] * 9, 1.0, 1.0),
    ],
)
def test_the_dispersion_is_that_of_what_comes_again(
    counts: list[float], low: float, high: float
) -> None:
    seen = with_gateway(CALM, reads_of(counts), at_tick=True)
    assert low <= (seen.gateway_dispersion or 0.0) <= high


def uneven(rate: float, ticks: int, seed: int) -> list[GatewayRead]:
    """Reads as of a live loop: the first after a tick takes longer, and what is left before it is shorter."""
    random = np.random.default_rng(seed)
    lengths = [0.54, *[0.51] * 8, 0.38] * ticks
    return [GatewayRead(one, float(random.poisson(rate * one)), 0.0) for one in lengths]


def test_reads_of_different_lengths_are_no_bunches() -> None:
    reads = uneven(1000.0, 24, seed=8)
    # Each minute a gateway is restarted, and a read fails.
    for number in (50, 150):
        reads[number] = GatewayRead(0.0, 0.0, 0.0)
        reads[number + 9] = GatewayRead(1.02, 1020.0, 0.0)
    seen = with_gateway(CALM, reads, at_tick=True)
    assert (seen.gateway_dispersion or 0.0) <= 1.4


def test_reads_of_different_lengths_hide_no_jump() -> None:
    reads = [*uneven(1000.0, 23, seed=8), *uneven(1100.0, 1, seed=9)]
    assert with_gateway(CALM, reads).between


def test_at_a_tick_nothing_asks_for_a_further_decision() -> None:
    reads = reads_of([0.0] * 200 + [15.0, 15.0], queued=30.0)
    assert with_gateway(CALM, reads).between
    assert not with_gateway(CALM, reads, at_tick=True).between


def test_one_read_says_only_that_the_gateway_is_read() -> None:
    assert with_gateway(CALM, []) == CALM
    seen = with_gateway(CALM, reads_of([50.0], queued=50.0))
    assert seen == replace(CALM, gateway_queued=0.0)


COUNT = st.floats(0, 1e9) | DENORMAL


@given(ANY_SIGNALS, st.lists(st.builds(GatewayRead, COUNT, COUNT, COUNT), max_size=80))
def test_any_counts_give_finite_signals(signals: Signals, reads: list[GatewayRead]) -> None:
    seen = with_gateway(signals, reads)
    assert math.isfinite(rate_of(seen))
    assert len(reads) < 2 or seen.gateway_queued is not None
