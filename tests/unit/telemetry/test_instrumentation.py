from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import textwrap
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette

from support.harnesses.telemetry_harness import Harness
from support.samples.plain_asgi import plain_app
from tidegate.events.event import Origin
from tidegate.settings import Settings, SettingsError
from tidegate.telemetry import instrument
from tidegate.telemetry.identity import make_origin, with_app_name
from tidegate.telemetry.request_record import RequestRecord


def settings(folder: Path, **service: Any) -> Settings:
    return Settings(stack={"data_dir": folder}, service=service)


async def test_without_settings_they_are_read_from_the_environment(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_STACK__DATA_DIR", str(tmp_path / "there"))
    monkeypatch.setenv("TIDEGATE_SERVICE__NAME", "cakes")
    monkeypatch.setenv("TIDEGATE_TELEMETRY__SAMPLE_RATIO", "0")  # no spans by chance
    app = FastAPI(version="4.2")
    telemetry = instrument(app)
    async with harness.client(app) as client:
        await client.get("/")
    telemetry.close()
    (path,) = (tmp_path / "there" / "logs").iterdir()
    service = orjson.loads(path.read_bytes())["service"]
    assert (service["name"], service["version"]) == ("cakes", "4.2")
    assert path.name.startswith(service["node"]["name"] + ".")


def test_a_hostname_is_converted_to_a_valid_file_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "a/b c" + "x" * 300)
    assert make_origin(settings(tmp_path), "1").node.startswith("flights-a-b-cxxx")
    assert len(make_origin(settings(tmp_path), "1").node) < 100


def test_the_origin_can_be_an_argument(tmp_path: Path) -> None:
    origin = Origin("s", "v", "e", "n", "ns")
    telemetry = instrument(Starlette(), settings(tmp_path), origin=origin)
    telemetry.close()
    assert (telemetry.origin, telemetry.writer.node) == (origin, "n")


async def test_an_app_is_instrumented_once_and_before_it_starts(harness: Harness) -> None:
    once, started = Starlette(), Starlette()
    harness.instrument(once)
    async with harness.client(started) as client:
        await client.get("/")
    for app, reason in ((once, "already"), (started, "before")):
        with pytest.raises(RuntimeError, match=reason):
            harness.instrument(app)


@pytest.mark.parametrize(
    ("app", "named"), [(lambda: None, "got function"), (plain_app, "TelemetryMiddleware")]
)
def test_only_a_starlette_app_can_be_instrumented(tmp_path: Path, app: Any, named: str) -> None:
    with pytest.raises(TypeError, match=named):
        instrument(app, settings(tmp_path))


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"stack\.data_dir"):
        instrument(Starlette(), settings(tmp_path / "file"))


async def test_an_app_that_was_closed_can_be_used_again(harness: Harness) -> None:
    app = Starlette()
    telemetry = harness.instrument(app)
    for _ in range(2):
        async with harness.client(app) as client:
            await client.get("/")
        telemetry.close()
    assert len(harness.events("request")) == 2
    assert len(list((harness.folder / "logs").iterdir())) == 2


@pytest.mark.parametrize("tracing", ["native", "off"])
async def test_an_unreferenced_app_is_garbage_collected(harness: Harness, tracing: str) -> None:
    app = Starlette()
    reference = weakref.ref(harness.instrument(app, tracing=tracing))
    async with harness.client(app) as client:
        await client.get("/")
    harness.telemetries.clear()
    del app, client
    gc.collect()
    assert reference() is None


async def test_a_request_leaves_no_cycles_for_the_garbage_collector(harness: Harness) -> None:
    app = FastAPI()
    harness.instrument(app, sample_ratio=1)
    async with harness.client(app) as client:
        await client.get("/metrics")
    telemetry = harness.telemetries[0]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}

    def serve() -> None:
        record = telemetry.begin(scope)
        outer = telemetry.tracing.span(record, "outer", {})
        inner = telemetry.tracing.span(record, "inner", {})
        with suppress(ValueError), outer, inner:
            raise ValueError("x")
        record.status = 500
        telemetry.finish(record)

    def records() -> int:
        return sum(type(each) is RequestRecord for each in gc.get_objects())

    serve()
    gc.collect()
    before = records()  # of other tests
    gc.disable()
    try:
        serve()
        assert records() == before
    finally:
        gc.enable()


FORKING = """
    import asyncio, os, sys
    from pathlib import Path
    import httpx
    from fastapi import FastAPI
    from tidegate.settings import Settings
    from tidegate.telemetry import instrument, get_logger

    app = FastAPI()
    telemetry = instrument(app, Settings(stack={"data_dir": Path(sys.argv[1])},
                                         telemetry={"sample_ratio": 1}))
    get_logger("a").info("before the fork")

    async def send_requests():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            for _ in range(5):
                await client.get("/")

    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            asyncio.run(send_requests())
            telemetry.close()
            os._exit(telemetry.writer.lost)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    asyncio.run(send_requests())
    print(os.getpid(), *children)
"""


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9"])
def test_prefork_workers_have_their_own_node_names_and_files(tmp_path: Path, endpoint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(FORKING), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={
            # A forked process would share its parent's coverage file and corrupt it.
            **{k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        },
    )
    processes = done.stdout.split()
    nodes: dict[str, list[dict[str, Any]]] = {}
    for path in (tmp_path / "logs").iterdir():
        for line in path.read_bytes().splitlines():
            event = orjson.loads(line)
            node = event["service"]["node"]["name"]
            assert path.name.startswith(node + ".")
            nodes.setdefault(node.rpartition("-")[2], []).append(event)
    assert sorted(nodes) == sorted(processes)
    for events in nodes.values():
        datasets = [event["event"]["dataset"] for event in events]
        assert [datasets.count(f"tidegate.{name}") for name in ("request", "span")] == [5, 5]
    everything = [event for events in nodes.values() for event in events]
    assert len({event["event"]["id"] for event in everything}) == len(everything)
    traces = [e["trace"]["id"] for e in everything if e["event"]["dataset"] == "tidegate.request"]
    assert len(set(traces)) == 15


@pytest.mark.parametrize(
    ("title", "configured", "name"),
    [
        ("The Cake Shop (v2)", "", "the-cake-shop-v2"),
        ("", "", "tests"),
        ("FastAPI", "", "tests"),
        ("The Cake Shop", "wine", "wine"),
    ],
)
def test_the_service_name_defaults_to_the_title_or_the_module(
    title: str, configured: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if configured:
        monkeypatch.setenv("TIDEGATE_SERVICE__NAME", configured)
    app = FastAPI(title=title) if title else Starlette()
    telemetry = instrument(app)
    telemetry.close()
    assert telemetry.origin.service == name
    assert telemetry.origin.node.startswith(f"{name}-")


def test_the_service_name_of_a_script_is_its_file_name() -> None:
    module = {"__name__": "__main__", "__package__": None, "__file__": "/srv/cake_shop.py"}
    assert with_app_name(Settings(), Starlette(), module).service.name == "cake-shop"
    unnamed = with_app_name(Settings(), Starlette(), {"__name__": "__main__"})
    assert unnamed.service.name == "flights"
