"""The resizer's client: how it handles each response, and none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.doubles.aiohttp_server import answering
from support.doubles.tcp_server import speaking
from support.ports import free_port
from tidegate.resizer.client import ResizerClient
from tidegate.resizer.contract import ResizeRefusedError, ResizerUnavailableError
from tidegate.resizer.server import make_app, serve_unix
from tidegate.runtime.secret_files import GRACE_SECONDS, ReplaceableSecret


@asynccontextmanager
async def answered(
    code: int, body: bytes, headers: dict[str, str] | None = None
) -> AsyncIterator[ResizerClient]:
    """A client of a server that sends the same response to every request."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, body=body, headers=headers)

    async with answering(answer) as url:
        yield ResizerClient(url, tokens=lambda: ("t",))


async def test_requests_over_a_unix_socket(resizer: Any, tmp_path: Path) -> None:
    authorization: list[str | None] = []

    @web.middleware
    async def note(request: web.Request, handler: Any) -> Any:
        authorization.append(request.headers.get("Authorization"))
        return await handler(request)

    path = tmp_path / ("longer-than-an-address-" * 9) / "control.sock"
    app = make_app(resizer)
    app.middlewares.append(note)
    async with serve_unix(app, path):
        client = ResizerClient(f"unix:{path}")
        assert await client.status() == await resizer.status()
        assert (await client.resize(3)).slots is None
        assert (await client.resize(2, 4)).slots == 4
        with pytest.raises(ResizeRefusedError, match=r"^7 is outside \[1, 6\]$"):
            await client.resize(7)
    assert resizer.slots_asked == [None, 4]
    assert authorization == [None] * 4


async def test_a_restarted_resizer_is_found_again(resizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "run" / "control.sock"
    client = ResizerClient(f"unix:{path}")
    for _ in range(2):
        with pytest.raises(ResizerUnavailableError, match="No such file or directory"):
            await client.status()
        async with serve_unix(make_app(resizer), path):
            await client.status()
        path.parent.rmdir()


@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (401, b'{"error": "the token is wrong"}', "responded with 401: the token is wrong"),
        (500, b"oops", "responded with 500: oops"),
        (503, b"", "responded with 503: an empty body"),
        (500, b"x" * 5000, f"responded with 500: {'x' * 200}$"),
        (200, b"hello", "response of the resizer cannot be read: hello"),
        (200, b'{"desired": 1}', "response of the resizer cannot be read"),
        (200, b"\xff", "response of the resizer cannot be read"),
    ],
)
async def test_any_other_response_means_that_the_resizer_is_unavailable(
    code: int, body: bytes, message: str
) -> None:
    async with answered(code, body) as client:
        with pytest.raises(ResizerUnavailableError, match=message):
            await client.status()


@pytest.mark.parametrize("first", ["client", "server"])
async def test_a_replaced_token_is_accepted_whichever_end_has_it_first(
    resizer: Any, tmp_path: Path, first: str
) -> None:
    """Each end has a copy of the file, which is replaced at another time."""
    files = {end: tmp_path / end for end in ("client", "server")}
    now = 0.0
    for file in files.values():
        file.write_text("old")
    ends = {end: ReplaceableSecret(file, end, lambda: now) for end, file in files.items()}
    async with TestServer(make_app(resizer, tokens=ends["server"])) as server:
        client = ResizerClient(str(server.make_url("/")), tokens=ends["client"])
        await client.status()
        files[first].write_text("new")
        await client.status()
        now += GRACE_SECONDS / 2
        await client.status()
        for file in files.values():
            file.write_text("new")
        await client.status()
        now += 2 * GRACE_SECONDS
        await client.status()
        late = ResizerClient(str(server.make_url("/")), tokens=lambda: ("old",))
        with pytest.raises(ResizerUnavailableError, match="401"):
            await late.status()


async def test_redirects_are_not_followed() -> None:
    async with answered(302, b"", {"Location": "http://127.0.0.1:1/replicas"}) as client:
        with pytest.raises(ResizerUnavailableError, match="responded with 302"):
            await client.resize(2)


async def test_a_refused_or_closed_connection_means_that_the_resizer_is_unavailable() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ResizerUnavailableError, match=f"{address} cannot be reached: Connection"):
        await ResizerClient(address).status()
    async with speaking(hang_up) as port:
        with pytest.raises(ResizerUnavailableError, match="cannot be reached: "):
            await ResizerClient(f"http://127.0.0.1:{port}").status()


async def test_a_slow_resizer_is_unavailable(resizer: Any, tmp_path: Path) -> None:
    never = asyncio.Event()

    async def status() -> None:
        await never.wait()

    resizer.status = status
    path = tmp_path / "control.sock"
    async with serve_unix(make_app(resizer), path):
        with pytest.raises(ResizerUnavailableError, match="does not respond in time"):
            await ResizerClient(f"unix:{path}", timeout_seconds=0.05).status()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:",
        "/run/control.sock",
        "http://",
        "ftp://host:1",
        "http://host:x",
        "http://h:99999",
    ],
)
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"is neither unix:PATH nor http://HOST:PORT"):
        ResizerClient(address)


@pytest.mark.parametrize("token", ["two\nlines", "schlüssel"])
def test_a_token_that_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII"):
        ResizerClient("unix:x", tokens=lambda: (token,))
