"""The answers of Kubernetes' API server, each error in one sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio import client
from pydantic import BaseModel

from support.doubles.aiohttp_server import answering
from support.ports import free_port
from tidegate.runtime.kubernetes_api import ApiServer, ApiServerError


class Replicas(BaseModel):
    replicas: int


@asynccontextmanager
async def api_server(url: str, seconds: float = 30) -> AsyncIterator[ApiServer]:
    configuration = client.Configuration()
    configuration.host = url
    async with client.ApiClient(configuration) as api_client:
        yield ApiServer(api_client, "default", seconds)


async def read(server: ApiServer) -> int:
    """The number of replicas in the response."""

    async def call(*, _request_timeout: float) -> aiohttp.ClientResponse:
        timeout = aiohttp.ClientTimeout(total=_request_timeout)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            response = await session.get(server.url)
            await response.read()
            return response

    return (await server.read(Replicas, call, missing="there is no such thing")).replicas


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, '{"replicas": 3}', 3),
        (200, '{"replicas": "x"}', "cannot be read: replicas: "),
        (200, "x", "cannot be read: body: "),
        (404, '{"message": "not found"}', "^there is no such thing$"),
        (403, '{"message": "no"}', "does not allow it: no; the Role in the chart allows it"),
        (401, '{"message": "no"}', "does not accept the credentials: no; check "),
        (500, '{"message": "disk"}', "answered 500: disk$"),
        (500, " oops ", "answered 500: oops$"),
        (500, "x" * 900, f"answered 500: {'x' * 200}$"),
        (500, "", "answered 500: without a reason$"),
    ],
)
async def test_each_answer_is_the_object_or_one_sentence(
    status: int, body: str, found: int | str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    async with answering(answer) as url, api_server(url) as server:
        if isinstance(found, int):
            assert await read(server) == found
        else:
            with pytest.raises(ApiServerError, match=found):
                await read(server)


async def test_an_api_server_that_cannot_be_reached_is_named() -> None:
    async with api_server(f"http://127.0.0.1:{free_port()}") as server:
        with pytest.raises(ApiServerError, match=f"{server.url} cannot be reached: "):
            await read(server)
