"""The middleware of the slots: who takes one, for how long, and who is refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from support.eventually import eventually_async
from support.harnesses.slots_client import Client, Shop
from tidegate.serving import NoSlotError, SlotMetrics, Slots, acquire_slot, manual_slots
from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings, Slo
from tidegate.telemetry.asgi import ASGIApp, Message


async def busy(shop: Shop) -> Client:
    """A request in the only slot."""
    client = shop.client()
    await eventually_async(lambda: shop.slots.busy == 1)
    return client


async def test_requests_beyond_the_slots_wait_and_are_served_in_turn() -> None:
    shop = Shop(2)
    clients = [shop.client() for _ in range(5)]
    await eventually_async(lambda: shop.slots.waiting == 3)
    assert shop.slots.busy == 2
    shop.let.set()
    assert [(await client.end()).status for client in clients] == [200] * 5
    assert (shop.slots.busy, shop.slots.waiting, shop.seconds_counted()) == (0, 0, 5)


async def test_a_refused_request_gets_503_and_when_to_come_back() -> None:
    shop = Shop(wait_length=0, wait_seconds=1.5)
    first = await busy(shop)
    refused = await shop.client().end()
    assert refused.status == 503
    assert (b"retry-after", b"2") in refused.sent[0]["headers"]
    (detail,) = orjson.loads(refused.content)["detail"]
    assert detail["type"] == "no_slot"
    assert detail["msg"] == "All 1 slots are busy and 0 requests wait"
    shop.let.set()
    await first.end()
    assert shop.served == 1


async def test_a_client_that_leaves_while_it_waits_leaves_the_queue() -> None:
    shop = Shop()
    first = shop.client()
    leaving, staying = shop.client(), shop.client()
    await eventually_async(lambda: shop.slots.waiting == 2)
    leaving.gone.set()
    await leaving.end()
    assert (leaving.sent, shop.slots.waiting, shop.slots.busy) == ([], 1, 1)
    shop.let.set()
    await first.end()
    assert (await staying.end()).status == 200
    assert (shop.served, shop.slots.busy, shop.seconds_counted()) == (2, 0, 2)


async def test_what_a_client_sends_while_it_waits_reaches_the_application() -> None:
    shop = Shop()
    first = await busy(shop)
    second = shop.client("/work", b"a" * 40_000, b"b" * 40_000, b"c" * 40_000)
    await eventually_async(lambda: shop.slots.waiting == 1)
    shop.let.set()
    await first.end()
    assert (await second.end()).status == 200
    assert shop.received == b"a" * 40_000 + b"b" * 40_000 + b"c" * 40_000


async def test_a_slot_is_held_until_the_application_ends_although_the_client_left() -> None:
    shop = Shop()
    client = await busy(shop)
    client.gone.set()
    waiting = shop.client()
    await eventually_async(lambda: shop.slots.waiting == 1)
    assert shop.slots.busy == 1
    shop.let.set()
    await client.end()
    assert (await waiting.end()).status == 200
    assert shop.slots.busy == 0


PROBES = (
    "/live",
    "/ready",
    "/metrics",
    "/docs",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json",
)
PATHS = {"slots": {"paths": ("/predict", "/v2/")}}


@pytest.mark.parametrize(
    ("settings", "path", "counts"),
    [
        *[({}, path, False) for path in PROBES],
        ({}, "/", True),
        ({}, "/predict", True),
        ({}, "/readyness", True),
        ({"telemetry": {"quiet_paths": ("/ping",)}}, "/ping", False),
        (PATHS, "/predict", True),
        (PATHS, "/predict/batch", True),
        (PATHS, "/predictions", False),
        (PATHS, "/v2", True),
        (PATHS, "/v2/models", True),
        ({"slots": {"paths": ("/",)}}, "/docs", True),
    ],
)
def test_the_path_decides_whether_a_request_takes_a_slot(
    settings: dict[str, Any], path: str, counts: bool
) -> None:
    assert SlotPaths(Settings(**settings), Shop().serve).count(path) is counts


async def test_a_request_that_does_not_count_is_served_without_a_slot() -> None:
    shop = Shop(paths=("/predict",))
    first = shop.client("/predict")
    await eventually_async(lambda: shop.slots.busy == 1)
    free = shop.client("/items")
    shop.let.set()
    assert (await free.end()).status == 200
    await first.end()
    assert shop.seconds_counted() == 1


async def test_websockets_and_the_lifespan_take_no_slot() -> None:
    seen: list[tuple[str, int]] = []
    shop = Shop()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["type"], shop.slots.busy))

    middleware, client = SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app)), Client(app)
    for kind in ("websocket", "lifespan"):
        await middleware({"type": kind, "path": "/predict"}, client._receive, client._send)
    assert seen == [("websocket", 0), ("lifespan", 0)]


@pytest.mark.parametrize(
    ("messages", "busy"),
    [
        ([{"type": "http.response.body", "body": b"x", "more_body": True}], 1),
        ([{"type": "http.response.body", "body": b"x"}], 0),
        ([{"type": "http.response.pathsend", "path": "/x"}], 0),
        ([{"type": "http.response.body", "body": b"x"}, {"type": "http.response.trailers"}], 0),
    ],
)
async def test_the_last_message_of_each_kind_of_response_releases_the_slot(
    messages: list[Message], busy: int
) -> None:
    shop = Shop()
    trailers = messages[-1]["type"] == "http.response.trailers"
    after: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "trailers": trailers})
        for message in messages:
            assert shop.slots.busy == 1
            await send(message)
        after.append(shop.slots.busy)

    await Client(SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))).start().end()
    assert (after, shop.slots.busy) == ([busy], 0)


async def test_the_first_byte_of_a_stream_is_measured_while_it_holds_its_slot() -> None:
    registry, counted = CollectorRegistry(), list[float | None]()
    metrics = SlotMetrics(registry, Slo(until="first_byte"))
    slots = Slots(1, wait_length=0, wait_seconds=1.0, metrics=metrics)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        for body in (b"", b"piece", b"piece"):
            await send({"type": "http.response.body", "body": body, "more_body": True})
            counted.append(registry.get_sample_value("tidegate_slot_first_byte_seconds_count"))
        assert slots.busy == 1
        await send({"type": "http.response.body"})

    await Client(SlotsMiddleware(app, slots, SlotPaths(Settings(), app))).start().end()
    assert counted == [0, 1, 1]


def manual(shop: Shop, *paths: str) -> ASGIApp:
    """An application that acquires its slot itself."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with await acquire_slot():
            await shop.serve(scope, receive, send)

    manual_slots(app, *paths)
    return SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))


async def test_an_application_can_acquire_its_slots_itself() -> None:
    shop = Shop(wait_length=0)
    app = manual(shop)
    first = Client(app).start()
    await eventually_async(lambda: shop.slots.busy == 1)
    refused = await Client(app).start().end()
    shop.let.set()
    await first.end()
    assert (first.status, refused.status, shop.slots.busy) == (200, 503, 0)
    assert (b"retry-after", b"2") in refused.sent[0]["headers"]


async def test_an_application_can_acquire_slots_itself_at_some_paths() -> None:
    shop = Shop(2)
    clients = [Client(manual(shop, "/chat"), path).start() for path in ("/chat", "/work")]
    # The middleware acquires the slot of /work, so the application's own acquire is without limit.
    await eventually_async(lambda: shop.slots.busy == 2)
    shop.let.set()
    assert [(await client.end()).status for client in clients] == [200, 200]
    assert shop.seconds_counted() == 2


async def test_outside_a_replica_there_is_no_limit() -> None:
    with await acquire_slot() as one, await acquire_slot() as other:
        assert one is other


async def test_a_refusal_after_the_response_has_begun_is_raised() -> None:
    shop = Shop(wait_length=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with await acquire_slot():
            pass

    manual_slots(app)
    with await shop.slots.acquire(), pytest.raises(NoSlotError):
        await Client(SlotsMiddleware(app, shop.slots, SlotPaths(Settings(), app))).start().end()
