"""Which model the ready replicas of a rollout serve, asked by HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.eventually import eventually_async
from support.harnesses.served_app import Serve
from support.ports import free_port
from tidegate.runtime import http_probe
from tidegate.service.serving import rollout_peers
from tidegate.service.serving.model_service import ModelService
from tidegate.service.serving.rollout_peers import rollout_digest

OWN = "flights-model-6d9-bbbbb"


def ready(node: str, digest: str) -> str:
    return json.dumps({"status": "ready", "model": "flights", "digest": digest, "node": node})


@asynccontextmanager
async def replicas(
    answers: Sequence[str | None], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[str]:
    """Replicas that answer `/ready` so, or a 503 for None, each at an address of its own; where they are."""
    port = free_port()
    addresses = [f"127.0.0.{number}" for number in range(2, 2 + len(answers))]
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]
    resolve: Callable[..., Any] = socket.getaddrinfo

    def resolved(host: str, *rest: Any, **options: Any) -> Any:
        return found if host == "replicas" else resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    async with AsyncExitStack() as stack:
        for address, answer in zip(addresses, answers, strict=True):
            app = web.Application()
            response = {"text": answer} if answer is not None else {"status": 503}

            async def respond(_: web.Request, response: Any = response) -> web.Response:
                return web.Response(**response)

            app.router.add_get("/ready", respond)
            runner = web.AppRunner(app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
        yield f"replicas:{port}"


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([], ""),
        ([None], ""),
        ([ready("flights-model-6d9-aaaaa", "old")], "old"),
        ([ready("flights-model-777-aaaaa", "another rollout")], ""),
        (["OK", "[1]", "{}", ready(OWN, "own")], "own"),
        ([ready(f"flights-model-6d9-{name}", name[0]) for name in ("a1", "b1", "b2")], "b"),
        ([ready(f"flights-model-6d9-{name}", name[0]) for name in ("b1", "a1")], "a"),
    ],
)
async def test_what_most_ready_replicas_of_the_rollout_serve_counts(
    answers: Sequence[str | None], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with replicas(answers, monkeypatch) as peers:
        assert await rollout_digest(peers, OWN) == found


async def test_a_pod_that_started_beside_one_with_another_model_ends_when_that_is_ready(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollout_peers, "DNS_SECONDS", 0.0)
    asked = 0

    async def respond(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return web.Response(status=503)
        return web.Response(text=ready("flights-model-6d9-aaaaa", "another"))

    app = web.Application()
    app.router.add_get("/ready", respond)
    async with TestServer(app) as peer:
        monkeypatch.setenv(rollout_peers.PEERS, f"127.0.0.1:{peer.port}")
        async with serve(service={"node_name": OWN}) as served:
            lifecycle = served.replica.lifecycle
            await eventually_async(lambda: lifecycle.phase == "failed")
            assert "its ready pods serve another" in lifecycle.reason


@pytest.mark.parametrize("peers", [False, True])
async def test_only_a_pod_that_has_peers_and_no_digest_looks_again_later(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, *, peers: bool
) -> None:
    monkeypatch.setattr(rollout_peers, "DNS_SECONDS", 600.0)
    if peers:
        monkeypatch.setenv(rollout_peers.PEERS, f"127.0.0.1:{free_port()}")
    async with serve(service={"node_name": OWN}) as served:
        service: ModelService = served.app.state.service
        later = asyncio.create_task(service.check_rollout(service.model().manifest))
        await asyncio.wait([later], timeout=0.1 if peers else 60)
        assert later.done() != peers
        later.cancel()


async def test_a_start_does_not_wait_for_names_that_are_not_resolved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ended.wait())
    monkeypatch.setattr(http_probe, "PROBE_SECONDS", 0.0)
    assert await rollout_digest("replicas:80", OWN) == ""
    ended.set()


async def test_without_any_other_address_or_an_answer_there_is_none() -> None:
    assert await rollout_digest("nowhere.invalid:80", OWN) == ""
    assert await rollout_digest(f"127.0.0.1:{free_port()}", OWN) == ""
