"""The increase of counters is right while replicas start, stop and restart."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from tidegate.monitoring.report.counter_increases import (
    Series,
    increase,
    increases_by,
    query_range,
)
from tidegate.monitoring.tasks.periods import Period
from tidegate.runtime.prometheus import Prometheus

PERIODS = [Period("a", 0, 10), Period("b", 10, 20)]
MATRIX = (
    '{"status": "success", "data": {"result": [{"metric": {"bin": "0"}, "values": [[1, "2"]]}]}}'
)


def series(*samples: tuple[float, float], **labels: str) -> Series:
    table = np.array(samples, np.float64).reshape(-1, 2)
    return Series(labels, table[:, 0], table[:, 1])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        # Present from the first sample on: its earlier count is not part of the periods.
        (series((0, 5), (5, 7), (12, 10)), [2, 3]),
        # It appeared later, so it started at 0.
        (series((3, 4), (12, 4)), [4, 0]),
        # It was reset in the second period, and had counted 2 at the next sample.
        (series((0, 5), (5, 9), (12, 2), (15, 3)), [4, 3]),
        # It disappeared.
        (series((0, 0), (5, 9)), [9, 0]),
        # Samples after the last period are ignored.
        (series((0, 0), (5, 1), (25, 9)), [1, 0]),
        (series(), [0, 0]),
    ],
)
def test_the_increase_of_one_counter(found: Series, expected: list[float]) -> None:
    assert increase(found, PERIODS, 0.0).tolist() == expected


def test_a_first_sample_that_prometheus_rounded_up_is_the_first_one() -> None:
    found = series((0.124, 5), (5, 7))
    assert increase(found, PERIODS, 0.1236).tolist() == [2, 0]


def test_the_increase_is_summed_over_replicas_by_labels() -> None:
    one = series((0, 0), (5, 3), bin="0", instance="a")
    other = series((0, 1), (15, 5), bin="0", instance="b")
    third = series((0, 0), (5, 7), bin="1", instance="a")
    sums = increases_by([one, other, third], PERIODS, 0.0, "bin")
    assert {name: values.tolist() for name, values in sums.items()} == {
        ("0",): [3, 4],
        ("1",): [7, 0],
    }


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    forms: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        forms.append(dict(request.query))
        return web.Response(text=MATRIX, content_type="application/json")

    async with answering(answer) as url:
        yield url, forms


async def test_a_long_span_is_queried_with_a_longer_step(
    prometheus: tuple[str, list[dict[str, str]]],
) -> None:
    url, forms = prometheus
    async with aiohttp.ClientSession() as session:
        client = Prometheus(session, url)
        (found,) = await query_range(client, "up", 0, 86_400)
        await query_range(client, "up", 0, 60)
    assert (found.labels, found.times.tolist(), found.values.tolist()) == ({"bin": "0"}, [1], [2])
    assert [one.get("step") for one in forms] == ["86.400", "1.000"]
