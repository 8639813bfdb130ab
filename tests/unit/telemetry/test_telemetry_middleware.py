"""`TelemetryMiddleware` around applications of any framework, and in the middlewares of Starlette."""

from __future__ import annotations

import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from support.harnesses.served_app import lifespan
from support.harnesses.telemetry_harness import Harness
from support.samples.asgi_apps import http_scope, ignore
from support.samples.plain_asgi import plain_app
from tidegate.settings import Settings, SettingsError
from tidegate.telemetry import TelemetryMiddleware, annotate, telemetry_of
from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send


def routes(harness: Harness) -> list[str]:
    return [event["tidegate"]["route"] for event in harness.events("request")]


@pytest.mark.parametrize("tracing", ["native", "opentelemetry", "off"])
async def test_an_application_without_a_framework_has_events_spans_and_metrics(
    harness: Harness, tracing: str
) -> None:
    app = TelemetryMiddleware(plain_app, harness.telemetry(sample_ratio=1, tracing=tracing))
    async with harness.client(app) as client:
        response = await client.get("/items/3")
        await client.get("/missing")
        await client.get("/quart/7")
        scrape = await client.get("/metrics")
    assert response.text == "/items/3"
    event = harness.events("request")[0]
    assert response.headers["traceresponse"][3:35] == event["trace"]["id"]
    assert event["tidegate"]["rows"] == 3
    assert routes(harness) == ["/items/{item:int}", "", "/quart/<int:item>"]
    assert harness.events("app")[0]["trace"] == event["trace"]
    spans = {e["span"]["name"] for e in harness.events("span") if e["span"]["kind"] == "server"}
    expected = {"GET /items/{item:int}", "GET", "GET /quart/<int:item>"}
    assert spans == (set() if tracing == "off" else expected)
    assert 'http_route="/items/{item:int}"' in scrape.text
    assert "/missing" not in scrape.text


async def item(request: Request) -> Response:
    annotate(item=request.path_params["item"])
    return PlainTextResponse("x" * 1000)


def closure(app: ASGIApp) -> ASGIApp:
    """A wrapper that does not say what it wraps."""

    async def wrapper(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return wrapper


class PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


def fastapi_app() -> FastAPI:
    app = FastAPI(title="cakes")
    router = APIRouter(prefix="/v1")
    router.add_api_route("/items/{item}", item)
    app.include_router(router)
    tenants = Starlette(routes=[Route("/items/{item}", item)])
    app.router.routes.append(Mount("/{tenant}/shop", tenants))
    return app


@pytest.mark.parametrize(
    "wrap",
    [lambda app: app, GZipMiddleware, PassOn, closure, lambda app: PassOn(GZipMiddleware(app))],
    ids=["bare", "gzip", "base", "closure", "two"],
)
@pytest.mark.parametrize("root_path", ["", "/proxy"])
async def test_the_routes_of_a_fastapi_app_are_found_through_wrappers_and_mounts(
    harness: Harness, wrap: Any, root_path: str
) -> None:
    app = TelemetryMiddleware(wrap(fastapi_app()), harness.telemetry())
    async with harness.client(app, root_path=root_path) as client:
        for path in ("/v1/items/3", "/acme/shop/items/4", "/nowhere"):
            await client.get(root_path + path)
    assert routes(harness) == ["/v1/items/{item}", "/{tenant}/shop/items/{item}", ""]


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
async def test_it_can_be_added_to_the_middlewares_of_an_app(harness: Harness, tracing: str) -> None:
    app = fastapi_app()
    telemetry = harness.telemetry(sample_ratio=1, tracing=tracing)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    app.add_middleware(PassOn)
    async with lifespan(app), harness.client(app) as client:
        await client.get("/acme/shop/items/4")
        assert (await client.get("/metrics")).text.count("http_route=") > 0
    assert routes(harness) == ["/{tenant}/shop/items/{item}"]
    assert "GET /{tenant}/shop" in {e["span"]["name"] for e in harness.events("span")}
    assert telemetry_of(app) is telemetry


async def test_a_mounted_application_has_its_own_routes(harness: Harness) -> None:
    inner = TelemetryMiddleware(fastapi_app(), harness.telemetry())
    app = Starlette(routes=[Mount("/shop", inner)])
    async with harness.client(app) as client:
        await client.get("/shop/v1/items/3")
        assert "http_route" in (await client.get("/shop/metrics")).text
    assert routes(harness) == ["/v1/items/{item}"]


async def test_an_application_with_telemetry_gets_no_second_one(harness: Harness) -> None:
    """Each request would count twice, whichever of the two comes first."""
    app, telemetry = Starlette(), harness.telemetry()
    harness.instrument(app)
    for twice in (app, PassOn(app), TelemetryMiddleware(plain_app, telemetry)):
        with pytest.raises(RuntimeError, match="would count twice"):
            TelemetryMiddleware(twice, telemetry)
    app.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    with pytest.raises(RuntimeError, match="would count twice"):
        app.build_middleware_stack()
    wrapped, added = Starlette(), Starlette()
    TelemetryMiddleware(wrapped, telemetry)
    added.add_middleware(TelemetryMiddleware, telemetry=telemetry)
    for other in (wrapped, added):
        with pytest.raises(RuntimeError, match="would count twice"):
            harness.instrument(other)


async def test_after_a_failed_start_an_application_may_get_another(harness: Harness) -> None:
    app = Starlette()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = harness.settings(metrics_port=taken.getsockname()[1])
        with pytest.raises(SettingsError, match="metrics_port"):
            TelemetryMiddleware(app, settings)
    harness.instrument(app)
    with pytest.raises(RuntimeError, match="would count twice"):
        TelemetryMiddleware(app, harness.telemetry())


@pytest.mark.parametrize(
    ("metrics_path", "method", "path", "scraped"),
    [
        ("/metrics", "GET", "/metrics", True),
        ("/metrics", "HEAD", "/metrics", True),
        ("/metrics", "POST", "/metrics", False),
        ("/metrics", "GET", "/shop/metrics", False),
        ("/-/metrics", "GET", "/-/metrics", True),
        ("/-/metrics", "GET", "/metrics", False),
        (None, "GET", "/metrics", False),
    ],
)
async def test_the_path_of_the_metrics_is_an_argument(
    harness: Harness, metrics_path: str | None, method: str, path: str, *, scraped: bool
) -> None:
    app = TelemetryMiddleware(plain_app, harness.telemetry(), metrics_path=metrics_path)
    async with harness.client(app) as client:
        response = await client.request(method, path)
    assert response.headers.get("content-type", "").startswith("text/plain") is scraped


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
async def test_a_websocket_is_passed_through(harness: Harness, tracing: str) -> None:
    seen: list[str] = []

    async def socket(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    scope = {**http_scope("/ws"), "type": "websocket"}
    del scope["method"]
    app = TelemetryMiddleware(socket, harness.telemetry(tracing=tracing))
    await app(scope, ignore, ignore)  # type: ignore[arg-type]
    assert seen == ["websocket"]
    assert harness.events("request") == []


@pytest.mark.parametrize(
    ("app", "settings", "named"),
    [
        (FastAPI(version="4.2"), Settings(service={"name": "pies"}), ("pies", "4.2")),
        (FastAPI(title="The Cake Shop"), None, ("the-cake-shop", "0.1.0")),
        (plain_app, None, ("tests", "0")),
    ],
)
def test_the_settings_the_title_or_the_module_name_the_service(
    app: Any, settings: Settings | None, named: tuple[str, str]
) -> None:
    telemetry = TelemetryMiddleware(app, settings).telemetry
    telemetry.close()
    assert (telemetry.origin.service, telemetry.origin.version) == named


def test_the_telemetry_of_an_application_is_found_through_wrappers(harness: Harness) -> None:
    telemetry = harness.telemetry()
    instrumented = Starlette()
    own = harness.instrument(instrumented)
    listed = Starlette(middleware=[Middleware(TelemetryMiddleware, telemetry)])
    itself: Any = type("Itself", (), {})()
    itself.app = itself
    assert telemetry_of(PassOn(instrumented)) is own
    assert telemetry_of(PassOn(TelemetryMiddleware(plain_app, telemetry))) is telemetry
    assert telemetry_of(listed) is telemetry
    assert [telemetry_of(app) for app in (Starlette(), plain_app, None, itself)] == [None] * 4


WITHOUT_STARLETTE = """
    import asyncio, importlib.util, sys
    from pathlib import Path

    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: (
        None if name in ("starlette", "fastapi") else find_spec(name, package))
    sys.modules["starlette"] = sys.modules["fastapi"] = None
    sys.path.insert(0, sys.argv[2])
    from support.samples.plain_asgi import plain_app
    from tidegate.settings import Settings, SettingsError
    from tidegate.telemetry import TelemetryMiddleware

    settings = Settings(stack={"data_dir": Path(sys.argv[1])}, telemetry={"tracing": sys.argv[3]})
    app = TelemetryMiddleware(plain_app, settings)
    scope = {"type": "http", "method": "GET", "path": "/items/3", "headers": [], "http_version": "1.1",
             "query_string": b"", "scheme": "http", "server": ("shop", 80)}

    async def send(message):
        print(message["type"], message.get("status"))

    asyncio.run(app(scope, None, send))
    app.telemetry.close()
"""


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
def test_neither_starlette_nor_fastapi_has_to_be_installed(tmp_path: Path, tracing: str) -> None:
    tests = Path(__file__).parents[2]
    code = textwrap.dedent(WITHOUT_STARLETTE)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path), str(tests), tracing],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["http.response.start 200", "http.response.body None"]
    (file,) = (tmp_path / "logs").iterdir()
    assert '"route":"/items/{item:int}"' in file.read_text(encoding="utf-8")
