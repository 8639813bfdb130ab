"""Who may read the pages, and what a page may load."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tidegate.console.security import Security

LOCAL = "http://127.0.0.1:8080"


async def answer(request: Request) -> PlainTextResponse:
    del request
    return PlainTextResponse("page")


def client(root: str, tokens: Sequence[str] = ()) -> httpx.AsyncClient:
    routes = [Route(path, answer, methods=["GET", "POST"]) for path in ("/", "/search")]
    guard = Middleware(Security, tokens=lambda: tokens)
    transport = httpx.ASGITransport(Starlette(routes=routes, middleware=[guard]))
    return httpx.AsyncClient(transport=transport, base_url=root)


@pytest.mark.parametrize(
    ("root", "status"),
    [
        (LOCAL, 200),
        ("http://localhost:8080", 200),
        ("http://[::1]:8080", 200),
        ("http://rebound.example:8080", 421),
        ("http://192.0.2.1", 421),
    ],
)
async def test_without_a_token_only_names_of_this_machine_are_answered(
    root: str, status: int
) -> None:
    assert (await client(root).get("/")).status_code == status


@pytest.mark.parametrize(
    ("request_headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer old"}, 200),
        ({"Authorization": "Bearer new"}, 200),
        ({"Authorization": "Basic YW55OnNlY3JldA=="}, 401),  # any:secret
        ({"Authorization": "Basic YW55Om5ldw=="}, 200),  # any:new
        ({"Authorization": "Basic ?"}, 401),
    ],
)
async def test_with_a_token_every_request_needs_it(
    request_headers: dict[str, str], status: int
) -> None:
    guarded = client("http://console.example", ["new", "old"])
    found = await guarded.get("/", headers=request_headers)
    assert found.status_code == status
    assert ("WWW-Authenticate" in found.headers) == (status == 401)
    assert (await guarded.get("/live")).status_code == 200  # the supervisor asks without it


@pytest.mark.parametrize(
    ("origin", "status"),
    [(LOCAL, 200), (None, 403), ("http://127.0.0.1:9999", 403), ("null", 403)],
)
async def test_only_a_page_of_the_console_may_change_something(
    origin: str | None, status: int
) -> None:
    headers = {"Origin": origin} if origin else {}
    assert (await client(LOCAL).post("/", headers=headers)).status_code == status


@pytest.mark.parametrize(
    ("name", "value", "status"), [("Host", "[", 421), ("Origin", "http://[", 403)]
)
async def test_what_is_no_url_is_refused(name: str, value: str, status: int) -> None:
    assert (await client(LOCAL).post("/", headers={name: value})).status_code == status


@pytest.mark.parametrize(
    ("path", "site", "status"),
    [
        ("/", "cross-site", 200),
        ("/?range=7d", "cross-site", 403),
        ("/search", "cross-site", 403),
        ("/static/chart.js", "cross-site", 403),
        ("/search", "same-site", 200),  # another port: Grafana's links, the gateway's first page
        ("/search", "none", 200),  # typed, or a bookmark
        ("/search", "same-origin", 200),
    ],
)
async def test_a_page_of_another_site_opens_the_first_page_only(
    path: str, site: str, status: int
) -> None:
    found = await client(LOCAL).get(path, headers={"Sec-Fetch-Site": site})
    assert found.status_code == status


async def test_a_person_whom_another_site_led_here_can_go_on() -> None:
    for path in ("/search?q=%3Cb%3E&since=1h", "//evil.example/search?q=%3Cb%3E&since=1h"):
        found = await client(LOCAL).get(LOCAL + path, headers={"Sec-Fetch-Site": "cross-site"})
        [link] = re.findall(r'href="([^"]*)"', found.text)
        assert unescape(link).startswith("/")
        assert not unescape(link).startswith("//")
        assert unescape(link).endswith("/search?q=%3Cb%3E&since=1h")


@pytest.mark.parametrize(("length", "status"), [(3980, 200), (4020, 400)])
async def test_a_long_address_is_refused_in_a_sentence(length: int, status: int) -> None:
    found = await client(LOCAL).get("/search", params={"q": "a" * (length - 10)})
    assert found.status_code == status
    if status == 400:
        assert "bytes, and the console takes 4000: shorten it" in found.text


async def test_every_response_limits_what_a_page_may_do() -> None:
    for root in (LOCAL, "http://evil.example"):
        found = await client(root).get("/")
        policy = found.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert found.headers["X-Content-Type-Options"] == "nosniff"
        assert found.headers["Referrer-Policy"] == "same-origin"
