"""The probe of an external Elasticsearch."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from aiohttp import web

from support.doubles.aiohttp_server import Handler, answering
from support.ports import free_port
from tidegate.settings import Elasticsearch
from tidegate.stack.supervisor.external_elasticsearch import elasticsearch_problem

PORT = free_port()
# Not in the ids of tests, which must be the same in each worker.
URL = f"http://127.0.0.1:{PORT}"
REFUSED = "URL/_cluster/health responded with status"
RIGHT = "store.elasticsearch.username lacks the privilege"


def with_status(status: int) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        assert request.path == "/_cluster/health"
        return web.Response(status=status)

    return handler


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (200, ""),
        (503, f"{REFUSED} 503"),
        (401, f"{REFUSED} 401; {RIGHT}"),
        (403, f"{REFUSED} 403; {RIGHT}"),
    ],
)
async def test_the_status_of_the_response_is_reported(status: int, text: str) -> None:
    async with answering(with_status(status), PORT):
        assert await elasticsearch_problem(Elasticsearch(url=URL)) == text.replace("URL", URL)


async def test_the_user_and_the_password_from_the_file_are_sent(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("sécret\n")
    sent = []

    async def handler(request: web.Request) -> web.Response:
        sent.append(request.headers["Authorization"])
        return web.Response()

    async with answering(handler, PORT):
        settings = Elasticsearch(url=URL, username="ü", password_file=tmp_path / "password")
        assert await elasticsearch_problem(settings) == ""
    decoded = [base64.b64decode(text.removeprefix("Basic ")).decode() for text in sent]
    assert decoded == ["ü:sécret"]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (Elasticsearch(url=URL), "URL/_cluster/health cannot be reached: connection refused"),
        (Elasticsearch(url="http://["), "cannot be reached"),
        (Elasticsearch(url=URL, username="a", password_file=Path("/none")), "/none: No such file"),
        (Elasticsearch(url=URL, username="a"), "store.elasticsearch.password_file is needed"),
        (Elasticsearch(url=URL, ca_file=Path("/none.pem")), "No such file"),
    ],
)
async def test_an_unreachable_server_or_file_is_reported(
    settings: Elasticsearch, text: str
) -> None:
    assert text.replace("URL", URL) in await elasticsearch_problem(settings)
