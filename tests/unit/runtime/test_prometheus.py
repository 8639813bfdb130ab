"""Queries to Prometheus: what is sent, what is read, and how a failure is explained."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from support.doubles.aiohttp_server import answering
from tidegate.runtime.http_client import HttpError
from tidegate.runtime.prometheus import URL_CHARACTERS, Prometheus, parse


class Double:
    """What a server in place of Prometheus was sent, and its next response."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.status = 200
        self.body: Any = {"data": {"result": []}}

    async def answer(self, request: web.Request) -> web.Response:
        form = await request.post()
        sent = {name: str(value) for name, value in {**request.query, **form}.items()}
        self.sent.append((request.method, request.path, sent))
        return web.json_response(self.body, status=self.status)


@pytest.fixture
async def double() -> Double:
    return Double()


@pytest.fixture
async def prometheus(double: Double) -> AsyncIterator[Prometheus]:
    async with answering(double.answer) as url, aiohttp.ClientSession() as session:
        yield Prometheus(session, f"{url}/prefix/")


async def test_an_instant_query_has_one_sample_and_a_range_several(
    prometheus: Prometheus, double: Double
) -> None:
    double.body = {"data": {"result": [{"metric": {"a": "b"}, "value": [1.5, "2"]}]}}
    (found,) = await prometheus.query("up")
    assert (found.labels, found.samples) == ({"a": "b"}, [(1.5, 2.0)])
    double.body = {"data": {"result": [{"metric": {}, "values": [[1, "2"], [2, "+Inf"]]}]}}
    (found,) = await prometheus.query("up[5s]", at=2)
    assert found.samples == [(1.0, 2.0), (2.0, float("inf"))]
    await prometheus.query_range("up", 1, 3, 0.5)
    span = {"query": "up", "start": "1.000", "end": "3.000", "step": "0.500"}
    assert double.sent == [
        ("GET", "/prefix/api/v1/query", {"query": "up"}),
        ("GET", "/prefix/api/v1/query", {"query": "up[5s]", "time": "2.000"}),
        ("GET", "/prefix/api/v1/query_range", span),
    ]


async def test_a_query_that_is_too_long_for_a_url_is_a_form(
    prometheus: Prometheus, double: Double
) -> None:
    long = "x" * (URL_CHARACTERS + 1)
    await prometheus.query(long)
    assert double.sent == [("POST", "/prefix/api/v1/query", {"query": long})]


async def test_the_error_gives_the_reason_of_prometheus(
    prometheus: Prometheus, double: Double
) -> None:
    double.status, double.body = 422, {"status": "error", "error": "too many samples"}
    with pytest.raises(HttpError) as raised:
        await prometheus.query("up")
    url = f"Prometheus at {prometheus.url}api/v1/query"
    assert str(raised.value) == f"{url} responded with status 422: too many samples"
    double.status, double.body = 200, {"data": {}}
    with pytest.raises(HttpError, match=f"^the response of {url} is invalid"):
        await prometheus.query("up")


@pytest.mark.parametrize("value", [None, [1, "NaN"]])
async def test_a_value_that_does_not_exist_is_an_error(
    prometheus: Prometheus, double: Double, value: Any
) -> None:
    double.body = {"data": {"result": [{"metric": {}, "value": value}]}}
    with pytest.raises(HttpError, match="has no value for up"):
        await prometheus.value("up")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"status":"error","errorType":"execution","error":"too many samples"}',
        b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}',
        b'{"status":"success","data":{"result":[{"metric":{},"values":[[1,"x"]]}]}}',
        b'{"status":"success","data":{"result":[{}]}}',
        b"\xff\xfe",
    ],
)
def test_anything_but_series_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        parse(body)
