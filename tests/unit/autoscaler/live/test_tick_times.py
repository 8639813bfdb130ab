"""The times of ticks."""

import asyncio

import pytest

from support.harnesses.autoscaler_run import ONE, AutoscalerRun
from tidegate.autoscaler.live.loop import next_due, run_ticks
from tidegate.autoscaler.live.signals import Reading


@pytest.mark.parametrize(
    ("due", "elapsed", "every", "following"),
    [
        (10.0, 10.1, 5.0, 15.0),
        (10.0, 10.1, 1.0, 11.0),  # there is no replica any more
        (17.0, 17.1, 5.0, 20.0),  # one is back
        (20.0, 20.1, 5.0, 25.0),
        (0.3, 0.31, 0.1, 0.4),
        (35.0, 34.99, 5.0, 40.0),  # woken a little early: not the same tick again
        (0.0, 5.0, 5.0, 5.0),
        (0.0, 5.1, 5.0, 10.0),  # too slow by a little: the tick at 5 s is lost
        (0.0, 63.0, 5.0, 65.0),  # asleep for a minute: no burst to catch up
    ],
)
def test_ticks_stay_on_whole_multiples_when_they_come_more_often_or_less(
    due: float, elapsed: float, every: float, following: float
) -> None:
    assert next_due(due, elapsed, every) == pytest.approx(following)


async def test_it_ticks_on_until_cancelled(run: AutoscalerRun) -> None:
    third, reads = asyncio.Event(), []

    async def read() -> Reading:
        reads.append(asyncio.get_running_loop().time())
        if len(reads) == 3:
            third.set()
        return ONE

    run.autoscaler.read = read
    started = asyncio.get_running_loop().time()
    ticking = asyncio.create_task(run_ticks(run.autoscaler, 0.05))
    async with asyncio.timeout(60):
        await third.wait()
    # The first at once, the third two ticks later and never sooner.
    assert reads[2] - started >= 0.099
    ticking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ticking
