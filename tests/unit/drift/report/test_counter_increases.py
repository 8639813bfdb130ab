"""Counters of replicas that come, go and start anew add up to what was counted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from tidegate.drift.report.counter_increases import (
    PrometheusUnavailableError,
    Series,
    increase,
    increases_by,
    parse_series,
    query_instant,
    query_range,
)
from tidegate.drift.report.periods import Period

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
        # There from the beginning: what it had counted before is not of these periods.
        (series((0, 5), (5, 7), (12, 10)), [2, 3]),
        # It came later, so it began at 0.
        (series((3, 4), (12, 4)), [4, 0]),
        # It began anew in the second period, and had counted 2 when it was read.
        (series((0, 5), (5, 9), (12, 2), (15, 3)), [4, 3]),
        # It left.
        (series((0, 0), (5, 9)), [9, 0]),
        # What comes after the last period is of none.
        (series((0, 0), (5, 1), (25, 9)), [1, 0]),
        (series(), [0, 0]),
    ],
)
def test_growth(found: Series, expected: list[float]) -> None:
    assert increase(found, PERIODS, 0.0).tolist() == expected


def test_a_first_sample_that_prometheus_rounded_up_is_still_the_first() -> None:
    found = series((0.124, 5), (5, 7))
    assert increase(found, PERIODS, 0.1236).tolist() == [2, 0]


def test_replicas_are_added_up_by_labels() -> None:
    one = series((0, 0), (5, 3), bin="0", instance="a")
    other = series((0, 1), (15, 5), bin="0", instance="b")
    third = series((0, 0), (5, 7), bin="1", instance="a")
    added = increases_by([one, other, third], PERIODS, 0.0, "bin")
    assert {name: values.tolist() for name, values in added.items()} == {
        ("0",): [3, 4],
        ("1",): [7, 0],
    }


@pytest.mark.parametrize(
    "text", [b"no json", b"[]", b'{"data": {}}', b'{"data": {"result": [{}]}}']
)
def test_an_answer_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(PrometheusUnavailableError, match="invalid response"):
        parse_series(text)


@pytest.fixture
async def prometheus() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        asked.append(form | {"path": request.path})
        if form["query"] == "bad":
            return web.Response(status=422, text="parse error")
        return web.Response(text=MATRIX, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/{what}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (port,) = (address[1] for address in runner.addresses)
    yield f"http://127.0.0.1:{port}", asked
    await runner.cleanup()


async def test_a_long_span_is_asked_for_in_few_samples(
    prometheus: tuple[str, list[dict[str, str]]],
) -> None:
    url, asked = prometheus
    async with aiohttp.ClientSession() as session:
        (found,) = await query_range(session, url, "up", 0, 86_400)
        await query_range(session, url, "up", 0, 60)
        await query_instant(session, url, "up[60s]", 60)
    assert (found.labels, found.times.tolist(), found.values.tolist()) == ({"bin": "0"}, [1], [2])
    assert [one.get("step") for one in asked] == ["86.400", "1.000", None]
    assert asked[2]["path"] == "/api/v1/query"


async def test_why_prometheus_gives_nothing_is_told(
    prometheus: tuple[str, list[dict[str, str]]],
) -> None:
    url, _ = prometheus
    async with aiohttp.ClientSession() as session:
        with pytest.raises(
            PrometheusUnavailableError, match="responded with status 422: b'parse error'"
        ):
            await query_range(session, url, "bad", 0, 1)
        with pytest.raises(PrometheusUnavailableError, match="does not respond"):
            await query_range(session, "http://127.0.0.1:9", "up", 0, 1)
