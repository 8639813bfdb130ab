"""What a client of a component says of a response that it cannot use."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.doubles.aiohttp_server import answering
from support.kubernetes.certificates import Authority
from tidegate.runtime.http_client import HttpClient, HttpError, elasticsearch_client
from tidegate.settings import Elasticsearch


@asynccontextmanager
async def client_of(response: web.Response) -> AsyncIterator[HttpClient]:
    """A client of a server that has this answer only."""

    async def respond(_: web.Request) -> web.Response:
        return response

    async with answering(respond) as url, aiohttp.ClientSession() as session:
        yield HttpClient(session, url, name="the engine")


def refused(error: object) -> web.Response:
    return web.json_response({"error": error}, status=503)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            web.Response(status=500, text="Traceback:\n  F\nValueError: no"),
            "500: Traceback: F ValueError: no",
        ),
        (refused({"root_cause": {"reason": "x"}, "reason": "no\nnode"}), "status 503: no node"),
        (refused({"root_cause": [{"reason": "red"}]}), "503: red"),
        (web.Response(status=502, body=b"<html>", content_type="text/html"), "with status 502"),
        (web.Response(text="<html>"), "/x is not JSON"),
    ],
)
async def test_an_error_is_explained_on_one_line(response: web.Response, said: str) -> None:
    async with client_of(response) as client:
        with pytest.raises(HttpError) as caught:
            await client.get("/x")
    assert str(caught.value).endswith(said)
    assert "\n" not in str(caught.value)


async def test_a_response_that_is_too_large_is_not_read_to_its_end() -> None:
    async with client_of(web.Response(body=b"[" + b"1," * 500 + b"1]")) as client:
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
