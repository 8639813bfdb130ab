"""The traffic of earlier days, from a real Prometheus with a week of samples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from support.processes.prometheus_of_samples import prometheus_of_samples
from support.processes.running_stack import eventually
from tidegate.autoscaler.live.history import DAY_SECONDS, HistoryReader
from tidegate.autoscaler.live.signals import Reading
from tidegate.autoscaler.policies.predictive import AHEAD_SECONDS

pytestmark = pytest.mark.integration

SERIES = "service:arrival_rate:1m"
DAYS = 7
# Between the moment that the samples are made for and the moment of the question.
SLACK_SECONDS = 60


def samples(now: int) -> str:
    """d days ago: 10·d requests a second in the minutes ahead, and 1000 well before and after."""
    lines = [f"# TYPE {SERIES} gauge"]
    for day in range(DAYS, 0, -1):
        begin = now - day * DAY_SECONDS
        for second in range(-600, 1200, 15):
            inside = -SLACK_SECONDS <= second <= AHEAD_SECONDS + SLACK_SECONDS
            lines.append(f"{SERIES} {10 * day if inside else 1000} {begin + second}")
    return "\n".join([*lines, "# EOF", ""])


@pytest.fixture
def prometheus(
    prometheus_program: str, tmp_path: Path, unused_tcp_port_factory: Callable[[], int]
) -> Iterator[str]:
    port = unused_tcp_port_factory()
    week = samples(int(time.time()))
    with prometheus_of_samples(prometheus_program, tmp_path, port, week) as url:
        yield url


async def expected(url: str) -> float | None:
    async def nothing_else() -> Reading:
        return Reading()

    async with aiohttp.ClientSession() as session:
        reader = HistoryReader(url, session, nothing_else, time.monotonic, timeout_seconds=10.0)
        return (await reader.read()).expected_rate


def test_the_expected_rate_is_the_median_of_the_week_at_this_time(prometheus: str) -> None:
    found = eventually(lambda: asyncio.run(expected(prometheus)), "the history is there", 30)
    assert found == 40.0
