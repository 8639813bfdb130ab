"""The resizer's HTTP API: routes, errors, the token, the socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tidegate.resizer.contract import ResizeRefusedError, ResizerUnavailableError, check_bounds
from tidegate.resizer.server import make_app
from tidegate.settings import Replicas

Client = TestClient[web.Request, web.Application]
TOKEN = "a-token-of-some-length"
ONE_READY = {
    "desired": 1,
    "running": 1,
    "ready": 1,
    "replicas": [{"id": "flights-1", "state": "ready", "started_at": 1.5, "ready_at": 2.5}],
    "slots": None,
    "lends": "slots",
    "startups": [],
}


@pytest.fixture
async def client(resizer: Any) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(resizer))) as opened:
        yield opened


@pytest.fixture
async def guarded(resizer: Any) -> AsyncIterator[Client]:
    """A client of a server that asks for a token."""
    async with TestClient(TestServer(make_app(resizer, tokens=lambda: (TOKEN,)))) as opened:
        yield opened


async def test_get_returns_the_replicas_and_put_sets_them(client: Client, resizer: Any) -> None:
    answer = await client.get("/replicas")
    assert (answer.status, await answer.json()) == (200, ONE_READY)
    answer = await client.put("/replicas", json={"desired": 3})
    assert (answer.status, (await answer.json())["desired"]) == (200, 3)
    assert resizer.asked == [3]


@pytest.mark.parametrize("desired", [0, 7, -1, 10**30])
async def test_a_number_out_of_bounds_is_a_409_that_names_them(
    client: Client, resizer: Any, desired: int
) -> None:
    answer = await client.put("/replicas", data=b'{"desired": %d}' % desired)
    assert answer.status == 409
    assert await answer.json() == {"error": f"{desired} is outside [1, 6]"}
    assert resizer.count == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body: Invalid JSON"),
        (b"nonsense", "body: Invalid JSON"),
        (b"\xff\xfe", "body: Invalid JSON"),
        (b"3", "body: Input should be an object"),
        (b"[3]", "body: Input should be an object"),
        (b"{}", "desired: Field required"),
        (b'{"desired": null}', "desired: Input should be a valid integer"),
        (b'{"desired": "3"}', "desired: Input should be a valid integer"),
        (b'{"desired": 3.0}', "desired: Input should be a valid integer"),
        (b'{"desired": true}', "desired: Input should be a valid integer"),
        (b'{"desired": NaN}', "desired: "),
        (b'{"desired": 3, "image": "x"}', "image: Extra inputs are not permitted"),
    ],
)
async def test_a_bad_body_is_a_400_that_names_the_field(
    client: Client, resizer: Any, body: bytes, message: str
) -> None:
    answer = await client.put("/replicas", data=body)
    assert answer.status == 400
    assert message in (await answer.json())["error"]
    assert resizer.asked == []


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/", 404), ("POST", "/replicas", 405), ("DELETE", "/replicas", 405)],
)
async def test_unknown_routes_and_methods_are_errors_in_json(
    client: Client, method: str, path: str, code: int
) -> None:
    answer = await client.request(method, path)
    assert (answer.status, list(await answer.json())) == (code, ["error"])
    assert (code != 405) or answer.headers["Allow"] == "GET,HEAD,PUT"


async def test_a_huge_body_is_refused(client: Client) -> None:
    answer = await client.put("/replicas", data=b" " * 100_000)
    assert (answer.status, list(await answer.json())) == (413, ["error"])


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (f"Bearer {TOKEN}", 200),
        (f"bearer  {TOKEN}", 200),
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        (f"Bearer {TOKEN}x", 401),
        (f"Basic {TOKEN}", 401),
        (TOKEN, 401),
        ("Bearer \udcff", 401),
    ],
)
async def test_requests_without_the_token_are_refused(
    guarded: Client, resizer: Any, header: str | None, code: int
) -> None:
    headers = {"Authorization": header} if header is not None else {}
    if header and "\udcff" in header:  # no client sends these bytes, so write them to the socket
        status = await raw_status(guarded, header.encode(errors="surrogateescape"))
    else:
        status = (await guarded.get("/replicas", headers=headers)).status
    assert status == code
    refused = await guarded.put("/replicas", json={"desired": 2})
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert resizer.asked == []


async def raw_status(client: Client, header: bytes) -> int:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = b"GET /replicas HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
    writer.write(head + header + b"\r\n\r\n")
    line = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return int(line.split()[1])


@pytest.mark.parametrize("status", ["live", "ready"])
async def test_a_health_check_needs_no_token(guarded: Client, status: str) -> None:
    answer = await guarded.get(f"/{status}")
    assert (answer.status, await answer.json()) == (200, {"status": status})


async def test_a_resizer_without_a_current_state_is_live_and_a_503_with_the_reason(
    client: Client, resizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown() -> None:
        raise ResizerUnavailableError("the Docker engine has not responded for 12 s")

    monkeypatch.setattr(resizer, "status", unknown)
    reason = {"error": "the Docker engine has not responded for 12 s"}
    for path in ("/replicas", "/ready"):
        answer = await client.get(path)
        assert (answer.status, await answer.json()) == (503, reason)
    assert (await client.get("/live")).status == 200


async def test_put_sets_the_slots_if_present(client: Client, resizer: Any) -> None:
    resizer.slots = 2
    for body in ({"desired": 3, "slots": 4}, {"desired": 2}):
        answer = await client.put("/replicas", json=body)
        assert (answer.status, (await answer.json())["slots"]) == (200, 4)
    for bad in (b'"4"', b"4.0", b"true"):
        answer = await client.put("/replicas", data=b'{"desired": 3, "slots": %b}' % bad)
        assert answer.status == 400
        assert "slots: Input should be a valid integer" in (await answer.json())["error"]
    assert (await (await client.get("/replicas")).json())["slots"] == 4
    assert resizer.slots_asked == [4, None]


REPLICAS = Replicas(min=1, max=6)


@pytest.mark.parametrize(
    ("desired", "slots", "max_slots", "message"),
    [
        (0, None, None, r"0 replicas are outside \[1, 6\]: see replicas.min and replicas.max"),
        (7, 4, 4, r"7 replicas are outside \[1, 6\]"),
        (3, 5, 4, r"5 slots are outside \[1, 4\]: see slots.max"),
        (3, 0, 4, r"0 slots are outside \[1, 4\]"),
        (3, 10**30, 4, r"outside \[1, 4\]"),
        (3, 2, None, "the slots of a replica cannot be set: see slots.max"),
    ],
)
def test_a_request_out_of_bounds_is_refused_with_the_reason(
    desired: int, slots: int | None, max_slots: int | None, message: str
) -> None:
    with pytest.raises(ResizeRefusedError, match=message):
        check_bounds(desired, REPLICAS, slots, max_slots)


@pytest.mark.parametrize(("slots", "max_slots"), [(None, None), (None, 4), (1, 4), (4, 4)])
def test_a_request_within_the_bounds_is_accepted(slots: int | None, max_slots: int | None) -> None:
    check_bounds(6, REPLICAS, slots, max_slots)
