"""The rate limit on the removal of replicas."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.doubles.memory_resizer import MemoryResizer
from support.ports import free_port
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ReplicaStatus, ResizeLimitedError, ResizeRefusedError
from tidegate.resizer.daemon import open_token, served
from tidegate.resizer.rate_limit import RateLimitedResizer
from tidegate.settings import Resizer, load

HOUR = 3600


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("max_replicas", [1, 2, 6, 64])
async def test_an_autoscaler_that_removes_a_quarter_each_30_s_and_scales_up_at_once_is_never_limited(
    max_replicas: int,
) -> None:
    clock = Clock()
    inner = MemoryResizer(count=max_replicas, min_replicas=0, max_replicas=max_replicas)
    resizer = RateLimitedResizer(inner, max_replicas, clock)
    while clock.now < HOUR:
        # The maximum that it can remove in an hour: after each scale-in, all replicas are needed again.
        for _ in range(2):
            clock.now += 30
            await resizer.resize(inner.count - math.ceil(inner.count / 4))
        await resizer.resize(max_replicas)


@pytest.mark.parametrize("max_replicas", [1, 6, 64])
async def test_four_changes_from_the_maximum_to_the_minimum_and_back_are_allowed(
    max_replicas: int,
) -> None:
    inner = MemoryResizer(count=max_replicas, min_replicas=0, max_replicas=max_replicas)
    resizer = RateLimitedResizer(inner, max_replicas, Clock())
    for _ in range(4):
        await resizer.resize(0)
        await resizer.resize(max_replicas)
    with pytest.raises(ResizeLimitedError):
        await resizer.resize(max_replicas - 1)
    # More replicas and other slots are always granted.
    assert (await resizer.resize(max_replicas, 3)).slots == 3


async def test_a_client_that_flaps_each_second_removes_at_most_twelve_replicas_a_minute() -> None:
    clock = Clock()
    inner = MemoryResizer(count=6)
    resizer = RateLimitedResizer(inner, 6, clock)
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


@dataclass
class RemoteResizer(MemoryResizer):
    """A resizer whose replicas are behind a network, as those of Ray: other requests run meanwhile."""

    removed: int = 0

    async def status(self) -> ReplicaStatus:
        await asyncio.sleep(0)
        return await super().status()

    async def resize(self, desired: int, slots: int | None = None) -> ReplicaStatus:
        await asyncio.sleep(0)
        self.removed += max(0, self.count - desired)
        return await super().resize(desired, slots)


async def test_parallel_requests_remove_no_more_than_the_limit() -> None:
    inner = RemoteResizer(count=6)
    resizer = RateLimitedResizer(inner, 6, Clock())
    flaps = [resizer.resize(number) for _ in range(50) for number in (1, 6)]
    answers = await asyncio.gather(*flaps, return_exceptions=True)
    assert any(isinstance(one, ResizeLimitedError) for one in answers)
    assert inner.removed <= 4 * 6


async def test_a_request_is_granted_after_retry_after_seconds() -> None:
    clock = Clock()
    resizer = RateLimitedResizer(MemoryResizer(count=6), 6, clock)
    for _ in range(4):
        await resizer.resize(1)
        await resizer.resize(6)
    with pytest.raises(ResizeLimitedError) as refused:
        await resizer.resize(1)
    clock.now += refused.value.retry_after_seconds
    assert (await resizer.resize(1)).desired == 1


async def test_a_refused_request_takes_no_tokens() -> None:
    resizer = RateLimitedResizer(MemoryResizer(count=6), 6, Clock())
    for _ in range(20):
        with pytest.raises(ResizeRefusedError):
            await resizer.resize(0)
    assert (await resizer.resize(1)).desired == 1


async def test_the_client_of_a_limited_resizer_reports_the_reason(tmp_path: Path) -> None:
    token, port = tmp_path / "token", free_port()
    token.write_text("t\n")
    settings = load(resizer=Resizer(token_file=token, port=port), replicas={"max": 2})
    tokens = open_token(token)
    client = ResizerClient(f"http://127.0.0.1:{port}", tokens=tokens)
    async with served(settings, MemoryResizer(count=2, max_replicas=2), tokens):
        for _ in range(8):
            await client.resize(1)
            await client.resize(2)
        says = "refused: replicas are removed too often: at most 8 at once, and 6 more each minute"
        with pytest.raises(ResizeLimitedError, match=says) as refused:
            await client.resize(1)
        assert 0 < refused.value.retry_after_seconds <= 10
