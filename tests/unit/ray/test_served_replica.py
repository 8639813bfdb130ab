"""A replica as Ray calls it: its lifespan, health, name and metrics, without Ray."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, Counter
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tidegate.ray.counters import SLOT_SECONDS
from tidegate.ray.deployment import application, model_digest
from tidegate.ray.served_replica import ServedReplica, UnhealthyError, build_replica
from tidegate.service.model.artefact import MANIFEST, Artefact
from tidegate.serving import LoadError, Loading, make_replica
from tidegate.settings import Settings, SettingsError

SHOP = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

__version__ = "3.1"
app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
"""


@pytest.fixture(autouse=True)
def _no_other_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(service={"name": "shop", "node_name": "shop-r1"}, stack={"data_dir": tmp_path})


def read_prices() -> str:
    return Path("prices.csv").read_text()


@asynccontextmanager
async def running(replica: ServedReplica) -> AsyncIterator[None]:
    """Run the lifespan, as Ray does by uvicorn's code."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    task = asyncio.create_task(replica({"type": "lifespan"}, to_app.get, from_app.put))

    async def answer(kind: str) -> str:
        to_app.put_nowait({"type": kind})
        message = asyncio.create_task(from_app.get())
        await asyncio.wait({task, message}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        if not message.done():
            message.cancel()
            await task  # raises why
        return str((await message)["type"])

    assert await answer("lifespan.startup") == "lifespan.startup.complete"
    try:
        yield
    finally:
        assert await answer("lifespan.shutdown") == "lifespan.shutdown.complete"
        await task


async def test_its_metrics_are_registered_from_start_to_end(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("hello"))])
    replica = ServedReplica(make_replica(app, settings))
    file = tmp_path / "targets" / "shop-r1.json"
    assert not file.exists()
    orders = Counter("orders", "Orders, in the default registry.")
    request.addfinalizer(lambda: REGISTRY.unregister(orders))
    async with running(replica):
        await replica.check_health()
        transport = httpx.ASGITransport(replica)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.get("/")).text == "hello"
        (group,) = json.loads(file.read_text())
        (address,) = group["targets"]
        assert group["labels"] == {"replica": "shop-r1"}
        url = f"http://{address}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
        assert "tidegate_slot_seconds_count 1.0" in text
        assert "orders_total 0.0" in text
        assert replica.cumulative_counters()[f"{SLOT_SECONDS}_count"] == 1
    assert not file.exists()


async def test_it_registers_the_node_s_address_if_its_metrics_are_on_all(tmp_path: Path) -> None:
    settings = Settings(
        service={"node_name": "shop-r1"},
        stack={"data_dir": tmp_path, "metrics_host": "0.0.0.0"},
    )
    replica = ServedReplica(make_replica(Starlette(), settings), node_address="127.0.0.1")
    async with running(replica):
        (group,) = json.loads((tmp_path / "targets" / "shop-r1.json").read_text())
        assert group["targets"][0].startswith("127.0.0.1:")


async def test_it_is_healthy_when_it_has_loaded(settings: Settings) -> None:
    loaded = asyncio.Event()
    loading = Loading[bool]("the model")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        loading.start(loaded.wait)
        yield

    replica = ServedReplica(make_replica(Starlette(lifespan=lifespan), settings))
    async with running(replica):
        health = asyncio.create_task(replica.check_health())
        done, _ = await asyncio.wait({health}, timeout=0.2)
        assert not done
        loaded.set()
        await health
        # It repairs itself: Ray replaces a replica whose check does not return.
        replica.replica.lifecycle.watch(lambda: "the index is read again")
        assert replica.replica.lifecycle.phase == "loading"
        await replica.check_health()


async def test_a_replica_that_failed_is_unhealthy_with_its_reason(settings: Settings) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.prices = read_prices()
        yield

    replica = ServedReplica(make_replica(Starlette(lifespan=lifespan), settings))
    async with running(replica):
        with pytest.raises(UnhealthyError, match=r"prices\.csv"):
            await replica.check_health()


async def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = Settings(
        service={"node_name": "shop-r1"},
        stack={"data_dir": tmp_path},
        ray={"targets_dir": tmp_path / "file"},
    )
    replica = ServedReplica(make_replica(Starlette(), settings))
    with pytest.raises(SettingsError, match=r"ray\.targets_dir"):
        async with running(replica):
            pass


def test_the_application_gets_the_name_of_ray_s_replica(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop_on_ray.py").write_text(SHOP)
    settings = Settings(
        service={"app_dir": tmp_path},
        stack={"data_dir": tmp_path},
        telemetry={"metrics_port": 1},
    )
    monkeypatch.syspath_prepend(tmp_path)
    replica = build_replica(settings, "shop_on_ray:app", "k3x9")
    origin = replica.replica.telemetry.origin
    assert (origin.service, origin.node) == ("shop-on-ray", "shop-on-ray-k3x9")
    assert replica.replica.settings.telemetry.metrics_port is None, "its neighbours would want it"
    replica.replica.telemetry.close()


async def test_a_replica_with_another_model_than_the_deployment_was_built_with_is_unhealthy(
    flights: Artefact, tmp_path: Path
) -> None:
    model = Path(shutil.copytree(flights.path, tmp_path / "model"))
    settings = Settings(model={"path": model}, stack={"data_dir": tmp_path})
    digest = model_digest(settings)  # in a running event loop, as in a notebook
    assert digest == flights.manifest.digest
    same = build_replica(settings, "", "k3x9", digest=digest)
    async with running(same):
        await same.check_health()
    manifest = json.loads((model / MANIFEST).read_text())
    (model / MANIFEST).write_text(json.dumps(manifest | {"description": "another"}))
    another = build_replica(settings, "", "k3x8", digest=digest)
    async with running(another):
        with pytest.raises(UnhealthyError, match=f"model.digest is {digest}"):
            await another.check_health()
    fixed = settings.model.model_copy(update={"digest": model_digest(settings)})
    own = build_replica(settings.model_copy(update={"model": fixed}), "", "k3x7", digest=digest)
    async with running(own):
        await own.check_health()


def test_a_model_that_cannot_be_read_where_a_deployment_is_built_fixes_none(tmp_path: Path) -> None:
    settings = Settings(model={"path": tmp_path / "nowhere"}, stack={"data_dir": tmp_path})
    assert not model_digest(settings)


def test_a_wrong_name_is_one_sentence(tmp_path: Path) -> None:
    settings = Settings(service={"app_dir": tmp_path}, stack={"data_dir": tmp_path})
    with pytest.raises(LoadError, match="no_such_shop"):
        build_replica(settings, "no_such_shop:app", "k3x9")


@pytest.mark.parametrize("args", [{"application": "shop.main:app"}, {"app": 3}])
def test_wrong_arguments_are_named(args: Any) -> None:
    with pytest.raises(ValueError, match="only `app` is known"):
        application(args)
