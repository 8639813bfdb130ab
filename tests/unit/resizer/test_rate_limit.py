"""How often replicas may be removed: who meets the limit, and who does not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from support.memory_resizer import MemoryResizer
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ResizeLimitedError, ResizeRefusedError
from tidegate.resizer.rate_limit import LimitedResizer
from tidegate.resizer.server import make_app, serve_unix

HOUR = 3600


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("most", [1, 2, 6, 64])
async def test_an_autoscaler_that_goes_down_by_a_quarter_each_30_s_and_up_at_once_is_never_hindered(
    most: int,
) -> None:
    clock = Clock()
    inner = MemoryResizer(count=most, least=0, most=most)
    resizer = LimitedResizer(inner, most, clock)
    while clock.now < HOUR:
        # The most that it can remove in an hour: as soon as it has gone down, all are needed again.
        for _ in range(2):
            clock.now += 30
            await resizer.resize(inner.count - math.ceil(inner.count / 4))
        await resizer.resize(most)


@pytest.mark.parametrize("most", [1, 6, 64])
async def test_a_person_may_go_from_the_most_to_the_fewest_and_back_four_times_in_a_row(
    most: int,
) -> None:
    inner = MemoryResizer(count=most, least=0, most=most)
    resizer = LimitedResizer(inner, most, Clock())
    for _ in range(4):
        await resizer.resize(0)
        await resizer.resize(most)
    with pytest.raises(ResizeLimitedError):
        await resizer.resize(most - 1)
    # Whatever was removed, more replicas and other slots are always to be had.
    assert (await resizer.resize(most, 3)).slots == 3


async def test_a_number_that_flaps_each_second_stops_twelve_replicas_a_minute_and_no_more() -> None:
    clock = Clock()
    inner = MemoryResizer(count=6)
    resizer = LimitedResizer(inner, 6, clock)
    removed = 0
    while clock.now < HOUR:
        clock.now += 1
        before = inner.count
        try:
            await resizer.resize(1)
        except ResizeLimitedError:
            continue
        removed += before - inner.count
        await resizer.resize(6)
    assert removed <= 4 * 6 + 12 * 60


async def test_after_the_time_that_the_refusal_names_it_is_granted() -> None:
    clock = Clock()
    resizer = LimitedResizer(MemoryResizer(count=6), 6, clock)
    for _ in range(4):
        await resizer.resize(1)
        await resizer.resize(6)
    with pytest.raises(ResizeLimitedError) as refused:
        await resizer.resize(1)
    clock.now += refused.value.retry_after_seconds
    assert (await resizer.resize(1)).desired == 1


async def test_what_the_resizer_refuses_itself_costs_nothing() -> None:
    resizer = LimitedResizer(MemoryResizer(count=6), 6, Clock())
    for _ in range(20):
        with pytest.raises(ResizeRefusedError):
            await resizer.resize(0)
    assert (await resizer.resize(1)).desired == 1


async def test_the_server_answers_429_with_retry_after_and_the_client_says_why(
    tmp_path: Path,
) -> None:
    clock = Clock()
    limited = LimitedResizer(MemoryResizer(count=2, most=2), 2, clock)
    for _ in range(8):
        await limited.resize(1)
        await limited.resize(2)
    async with TestClient(TestServer(make_app(limited))) as client:
        answer = await client.put("/replicas", json={"desired": 1})
        assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
        assert "at most 8 at once, and 6 more each minute" in (await answer.json())["error"]
    path = tmp_path / "control.sock"
    async with serve_unix(make_app(limited), path):
        with pytest.raises(
            ResizeLimitedError, match="refused: replicas are removed too"
        ) as refused:
            await ResizerClient(f"unix:{path}").resize(1)
        assert refused.value.retry_after_seconds == 10
