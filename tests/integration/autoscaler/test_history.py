"""The traffic of earlier days, from a real Prometheus with a week of samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from support.eventually import eventually
from support.processes.prometheus_of_samples import prometheus_of_samples
from tidegate.autoscaler.live.history import HistoryReader
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.wrappers.daily_rise import AHEAD_SECONDS, DAY_SECONDS, daily_rise

pytestmark = pytest.mark.integration

SERIES = "service:arrival_rate:1m"
DAYS = 7
# Between the moment that the samples are made for and the moment of the question.
SLACK_SECONDS = 60


def samples(now: int) -> str:
    """d days ago: a rise from 10 to 50 + 10·d requests a second in 4 minutes, for 10; today 5, level.

    Five days ago there are no samples.
    """
    lines = [f"# TYPE {SERIES} gauge"]
    for day in (7, 6, 4, 3, 2, 1, 0):
        begin = now - day * DAY_SECONDS
        for second in range(-3600, 1500 if day else 0, 15):
            rise = 240 - SLACK_SECONDS <= second <= 840 + SLACK_SECONDS
            rate = (50 + 10 * day if rise else 10) if day else 5
            lines.append(f"{SERIES} {rate} {begin + second}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture
def prometheus(
    prometheus_program: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> Iterator[str]:
    port = unused_tcp_port_factory()
    week = samples(int(time.time()))
    with prometheus_of_samples(prometheus_program, tmp_path, port, week) as url:
        yield url


async def read(url: str) -> Reading | None:
    async def nothing_else() -> Reading:
        return Reading()

    async with aiohttp.ClientSession() as session:
        reader = HistoryReader(url, session, nothing_else, time.monotonic, timeout_seconds=10.0)
        found = await reader.read()
        return found if found.signals.daily_rates else None


def test_the_rates_of_the_week_at_this_time_are_read(prometheus: str) -> None:
    found = eventually(lambda: asyncio.run(read(prometheus)), "the history is there", 30)
    today, *earlier = found.signals.daily_rates
    assert today == (5.0, 5.0)
    # Within 2 minutes there is none, within 5 there is.
    assert earlier.pop(4) == ()
    assert [day[:3] for day in earlier] == [(10.0, 10.0, 10.0)] * 6
    assert [day[AHEAD_SECONDS.index(300) + 2] for day in earlier] == [60, 70, 80, 90, 110, 120]
    # One of six days may have had less; at about half of their level.
    assert daily_rise(found.signals.daily_rates, 225.0).rate == pytest.approx(70 * 6 / 11)
