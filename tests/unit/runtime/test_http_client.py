"""What a client of a component says of a response that it cannot use."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.kubernetes.certificates import Authority
from tidegate.runtime.http_client import HttpClient, HttpError, elasticsearch_client
from tidegate.settings import Elasticsearch


@pytest.fixture
async def answer() -> AsyncIterator[tuple[HttpClient, dict[str, web.Response]]]:
    """A client, and what the server in place of its component answers by path."""
    responses: dict[str, web.Response] = {}

    async def respond(request: web.Request) -> web.Response:
        return responses[request.path]

    app = web.Application()
    app.router.add_get("/{path}", respond)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        yield HttpClient(session, str(server.make_url("")), name="the engine"), responses


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            web.Response(status=500, text="Traceback:\n  File x\nValueError: no"),
            "status 500: Traceback: File x ValueError: no",
        ),
        (
            web.json_response(
                {"error": {"root_cause": {"reason": "x"}, "reason": "no\nnode"}}, status=503
            ),
            "status 503: no node",
        ),
        (web.json_response({"error": {"root_cause": [{"reason": "red"}]}}, status=503), "503: red"),
        (web.Response(status=502, body=b"<html>", content_type="text/html"), "with status 502"),
        (web.Response(text="<html>"), "/x is not JSON"),
    ],
)
async def test_an_error_is_explained_on_one_line(
    answer: tuple[HttpClient, dict[str, web.Response]], response: web.Response, said: str
) -> None:
    client, responses = answer
    responses["/x"] = response
    with pytest.raises(HttpError) as caught:
        await client.get("/x")
    assert str(caught.value).endswith(said)
    assert "\n" not in str(caught.value)


async def test_a_response_that_is_too_large_is_not_read_to_its_end(
    answer: tuple[HttpClient, dict[str, web.Response]],
) -> None:
    client, responses = answer
    responses["/x"] = web.Response(body=b"[" + b"1," * 500 + b"1]")
    with pytest.raises(HttpError, match=r"the engine at .*/x is larger than 1000 bytes"):
        await replace(client, max_bytes=1000).get("/x")


async def test_a_login_in_the_address_is_not_shown() -> None:
    async with aiohttp.ClientSession() as session:
        client = HttpClient(session, "http://user:pass%40word@127.0.0.1:9/base/")
        assert client.shown("/x?key=1") == "http://127.0.0.1:9/base/x"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")
async def test_the_authorities_of_the_setting_are_trusted(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "ca")
    authority.issue("server", "/CN=server", names=("IP:127.0.0.1",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")

    async def respond(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/", respond)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=tls)
    async with server, aiohttp.ClientSession() as session:
        of_system = Elasticsearch(url=str(server.make_url("")))
        own = of_system.model_copy(update={"ca_file": Path(authority.certificate)})
        assert await elasticsearch_client(session, own).get("/") == {}
        with pytest.raises(HttpError, match="certificate"):
            await elasticsearch_client(session, of_system).get("/")
