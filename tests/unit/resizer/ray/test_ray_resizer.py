"""The resizer for Ray Serve, against the responses of Ray's dashboard."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.ports import free_port
from tidegate.resizer.contract import ResizeRefusedError, ResizerUnavailableError
from tidegate.resizer.ray.resizer import RayResizer
from tidegate.resizer.ray.serve_api import ServeApi
from tidegate.settings import Replicas

SCALE = "/api/v1/applications/default/deployments/model/scale"


def details(*states: str, target: int = 2, **changes: Any) -> dict[str, Any]:
    # More fields than are read, as Ray has them.
    every = {"start_time_s": 1000.0, "node_ip": "127.0.0.1", "pid": 1}
    replicas = [{**every, "replica_id": f"r{n}", "state": state} for n, state in enumerate(states)]
    model = {"name": "model", "status": "HEALTHY", "target_num_replicas": target}
    application = {
        "status": "RUNNING",
        "message": "",
        "external_scaler_enabled": True,
        "deployments": {"model": {**model, "replicas": replicas}},
    }
    return {"applications": {"default": application | changes}}


class Dashboard:
    """What Ray's dashboard responds."""

    def __init__(self) -> None:
        self.details: Any = details("RUNNING", "STARTING")
        self.scale: tuple[int, Any] = (200, {"message": "Scaling request received."})
        self.scaled: list[Any] = []
        self.authorization: list[str | None] = []

    async def get(self, request: web.Request) -> web.Response:
        self.authorization.append(request.headers.get("Authorization"))
        if isinstance(self.details, int):
            return web.Response(status=self.details, text="401: Unauthorized")
        return web.Response(text=json.dumps(self.details), content_type="application/json")

    async def post(self, request: web.Request) -> web.Response:
        code, body = self.scale
        if code == 200:
            self.scaled.append(await request.json())
            self.details["applications"]["default"]["deployments"]["model"] |= self.scaled[-1]
        return web.json_response(body, status=code)


@asynccontextmanager
async def resizer_for(
    dashboard: Dashboard, *, token: str = "", clock: list[float] | None = None
) -> AsyncIterator[RayResizer]:
    app = web.Application()
    app.router.add_get("/api/serve/applications/", dashboard.get)
    app.router.add_post(SCALE, dashboard.post)
    server = TestServer(app)
    times = clock or [2000.0]
    async with server, aiohttp.ClientSession() as session:
        api = ServeApi(session, str(server.make_url("/")), "default", "model", token)
        yield RayResizer(api, Replicas(max=4), lambda: times.pop(0) if len(times) > 1 else times[0])


async def test_replicas_have_the_states_of_the_contract() -> None:
    dashboard = Dashboard()
    dashboard.details = details(
        "RUNNING", "STARTING", "UPDATING", "STOPPING", "STOPPED", "PENDING_MIGRATION", target=3
    )
    async with resizer_for(dashboard) as resizer:
        status = await resizer.status()
    assert (status.desired, status.running, status.ready) == (3, 4, 2)
    assert [one.state for one in status.replicas] == [
        *("ready", "starting", "starting", "draining", "ready")
    ]
    assert status.slots is None


async def test_a_replica_is_ready_since_it_was_first_seen_running() -> None:
    dashboard = Dashboard()
    async with resizer_for(dashboard, clock=[2000.0, 2005.0, 2010.0]) as resizer:
        first = await resizer.status()
        dashboard.details = details("RUNNING", "RUNNING")
        await resizer.status()
        last = await resizer.status()
    assert [one.ready_at for one in first.replicas] == [2000.0, None]
    assert [one.ready_at for one in last.replicas] == [2000.0, 2005.0]
    assert (first.startups, last.startups) == ([], [1005.0])


async def test_a_number_within_the_bounds_goes_to_ray() -> None:
    dashboard = Dashboard()
    async with resizer_for(dashboard) as resizer:
        status = await resizer.resize(4)
    assert dashboard.scaled == [{"target_num_replicas": 4}]
    assert status.desired == 4


@pytest.mark.parametrize(("desired", "slots"), [(0, None), (5, None), (2, 3)])
async def test_other_numbers_are_refused_here(desired: int, slots: int | None) -> None:
    dashboard = Dashboard()
    async with resizer_for(dashboard) as resizer:
        with pytest.raises(ResizeRefusedError):
            await resizer.resize(desired, slots)
    assert dashboard.scaled == []


@pytest.mark.parametrize(("token", "sent"), [("abc", "Bearer abc"), ("", None)])
async def test_the_token_of_the_cluster_is_sent(token: str, sent: str | None) -> None:
    dashboard = Dashboard()
    async with resizer_for(dashboard, token=token) as resizer:
        await resizer.status()
    assert dashboard.authorization == [sent]


OTHER: dict[str, Any] = details()["applications"]["default"]
FAILED: dict[str, Any] = {
    "status": "DEPLOY_FAILED",
    "message": "Traceback:\nModuleNotFoundError: shop",
}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (401, "ray.token_file"),
        (
            {"applications": {"shop": OTHER}},
            "has no deployment 'model' in application 'default': deploy it, or set ray.application",
        ),
        (details(**FAILED, deployments={}), "DEPLOY_FAILED: ModuleNotFoundError: shop): deploy it"),
        (details(deployments={}), "'default' (it is RUNNING): deploy it"),
        (details(external_scaler_enabled=False), "external_scaler_enabled: true"),
        (details(external_scaler_enabled=None), "with Ray 2.60 or later"),
        ([], "cannot be read"),
        ({"applications": 1}, "cannot be read"),
        ({"applications": {"default": {}}}, "cannot be read"),
    ],
    ids=str,
)
async def test_what_keeps_the_number_from_being_set_is_named(body: Any, says: str) -> None:
    dashboard = Dashboard()
    dashboard.details = body
    async with resizer_for(dashboard) as resizer:
        with pytest.raises(ResizerUnavailableError) as caught:
            await resizer.status()
    assert says in str(caught.value)


async def test_ray_away_is_one_sentence() -> None:
    port = free_port()
    async with aiohttp.ClientSession() as session:
        api = ServeApi(session, f"http://127.0.0.1:{port}", "default", "model", "")
        with pytest.raises(ResizerUnavailableError) as caught:
            await api.read()
        with pytest.raises(ResizerUnavailableError, match="connection refused"):
            await api.scale(2)
    assert str(caught.value) == (
        f"Ray at http://127.0.0.1:{port}/api/serve/applications/ cannot be reached: connection refused"
        " (ray.address)"
    )


async def test_a_response_of_several_packets_is_read_to_its_end() -> None:
    dashboard = Dashboard()
    dashboard.details = details("RUNNING", message="x" * 2**21)
    async with resizer_for(dashboard) as resizer:
        assert (await resizer.status()).ready == 1


@pytest.mark.parametrize(
    ("scale", "error", "says"),
    [
        (
            (412, {"error": "The external scaling API can only\nbe used when …"}),
            *(ResizeRefusedError, "Ray refuses the number: .* The external scaling API"),
        ),
        (
            (503, {"error": "Serve controller is not available"}),
            *(ResizerUnavailableError, "503: Serve controller is not available"),
        ),
    ],
)
async def test_a_refusal_and_an_error_of_ray_are_passed_on(
    scale: tuple[int, Any], error: type[Exception], says: str
) -> None:
    dashboard = Dashboard()
    dashboard.scale = scale
    async with resizer_for(dashboard) as resizer:
        with pytest.raises(error, match=says):
            await resizer.resize(3)
