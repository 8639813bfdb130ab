"""SECURITY.md: no query string, header, body, client's address or parameter of a path is stored or sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from opentelemetry.sdk.trace import ReadableSpan
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from support.doubles.otlp_collector import OtlpCollector, otlp_collector
from support.harnesses.telemetry_harness import Harness
from tidegate.telemetry import TelemetryMiddleware, get_logger
from tidegate.telemetry import telemetry as telemetry_module
from tidegate.telemetry.export import public_span

uvicorn = logging.getLogger("uvicorn.error")
# As a port a number that is in no id and no time: 19 decimal digits, and later than any time in nanoseconds.
ADDRESS, PORT = "203.0.113.77", 9_111_111_111_111_111_111
SECRETS = {
    name: f"planted-{name}-xyzzy"
    for name in ("query", "encoded", "parameter", "header", "cookie", "agent", "referer", "body")
}
HEADERS = {
    "authorization": f"Bearer {SECRETS['header']}",
    "x-api-key": SECRETS["header"],
    "cookie": f"session={SECRETS['cookie']}",
    "user-agent": f"bot/{SECRETS['agent']}",
    "referer": f"http://elsewhere/?{SECRETS['referer']}",
    "host": f"{SECRETS['header']}.example",
    "forwarded": f"for={ADDRESS}",
    "x-forwarded-for": ADDRESS,
    "baggage": f"token={SECRETS['header']}",
}
QUERY = f"?access_token={SECRETS['query']}&q=%70lanted-encoded-xyzzy"
PATHS = (
    "ok",
    "boom",
    "bad",
    "reset/{}",
    "boom/{}",
    "nowhere",
    "mounted/reset/{}",
    "mounted/boom",
    "reset/{}/",
    "mounted/reset/{}//",
    "slashed/{}",
)
HOSTED = ("hosted/reset/{}", "hosted/boom/{}", "hosted/reset/{}/")
WEBSOCKETS = ("live", "live/{}", "hosted/live/{}")


async def answer(request: Request) -> Response:
    await request.body()
    get_logger("shop").info("answered")
    if "boom" in request.url.path:
        raise ValueError("on purpose")
    return PlainTextResponse("x")


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    # As uvicorn logs it.
    path = f"{websocket.url.path}?{websocket.url.query}"
    uvicorn.info('%s - "WebSocket %s" [accepted]', f"{ADDRESS}:{PORT}", path)
    await websocket.close()


def starlette_app() -> Starlette:
    paths = ("/ok", "/boom", "/reset/{token}", "/boom/{token}", "/slashed/{token}/")
    routes = [Route(path, answer, methods=["GET", "POST"]) for path in paths]
    hosted = [
        *(Route(f"/hosted{path}", answer, methods=["GET", "POST"]) for path in paths[2:4]),
        WebSocketRoute("/hosted/live/{token}", accept),
    ]
    return Starlette(
        routes=[
            *routes,
            WebSocketRoute("/live", accept),
            WebSocketRoute("/live/{token}", accept),
            Mount("/mounted", routes=routes),
            Host("{tenant}.example", Starlette(routes=hosted)),
        ]
    )


def fastapi_app() -> FastAPI:
    app = FastAPI()

    @app.post("/bad")
    async def bad(item: dict[str, int]) -> None:
        raise HTTPException(503, "on purpose")

    app.router.routes.extend(starlette_app().routes)
    return app


async def connect(app: Any, path: str) -> None:
    """A websocket that the application accepts and closes."""
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": path,
        "root_path": "",
        "query_string": QUERY[1:].encode(),
        "headers": [(name.encode(), value.encode()) for name, value in HEADERS.items()],
        "client": (ADDRESS, PORT),
        "server": ("shop", 80),
    }
    sent: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await app(scope, receive, send)
    assert sent == ["websocket.accept", "websocket.close"]


def written(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


@pytest.fixture(params=["", "http/dup"])
def collector(
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    select_conventions: Callable[[str], None],
) -> Iterator[OtlpCollector]:
    """Receives spans, with the attributes of the old semantic conventions, and of both."""
    select_conventions(request.param)
    monkeypatch.setattr(telemetry_module, "FLUSH_SECONDS", 60)
    with otlp_collector() as created:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", created.url)
        yield created


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
@pytest.mark.parametrize("set_up", ["instrument", "wrap"])
async def test_no_part_of_a_request_is_written_or_sent(  # noqa: PLR0917 - cases and fixtures
    harness: Harness,
    collector: OtlpCollector,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tracing: str,
    set_up: str,
) -> None:
    app: Any = fastapi_app()
    options: dict[str, Any] = {"tracing": tracing, "sample_ratio": 1}
    if set_up == "wrap":
        telemetry = harness.telemetry(**options)
        app = TelemetryMiddleware(starlette_app(), telemetry)
    else:
        telemetry = harness.instrument(app, **options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ADDRESS, PORT))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop:80") as client:
        for path in PATHS + HOSTED:
            for method in ("GET", "POST"):
                url = "/" + path.format(SECRETS["parameter"]) + QUERY
                body: Any = {"json": {SECRETS["body"]: SECRETS["body"]}} if method == "POST" else {}
                await client.request(method, url, headers=HEADERS, **body)
        metrics = (await client.get("/metrics")).content
    with caplog.at_level(logging.INFO, "uvicorn.error"):
        uvicorn.info("Application startup complete.")
        for path in WEBSOCKETS:
            await connect(app, "/" + path.format(SECRETS["parameter"]))
    telemetry.close()
    events = written(harness.folder)
    sent = b"".join(collector.bodies)
    for route in (b"/reset/{token}", b"/hosted/reset/{token}"):
        assert b'"' + route in events
        assert b" " + route in sent
    assert b"Application startup complete." in events
    assert b"/hosted/live/{token}" in sent or tracing == "native"
    printed = "".join(capfd.readouterr()).encode()
    for place, found in (("files", events), ("OTLP", sent), ("metrics", metrics), ("log", printed)):
        for secret in (*SECRETS.values(), ADDRESS, str(PORT), "access_token"):
            assert secret.encode() not in found, f"{place}: {secret}"


def test_the_path_of_a_span_without_private_attributes_is_replaced_too() -> None:
    def public(**attributes: str) -> dict[str, Any]:
        return dict(public_span(ReadableSpan("GET", attributes=attributes)).attributes or {})

    route, path = {"http.route": "/reset/{token}"}, {"url.path": "/reset/secret"}
    assert public(**route, **path) == {**route, "url.path": "/reset/{token}"}
    assert public(**{"http.target": "/nowhere?token=secret"}) == {"http.target": "/nowhere"}
    assert public(cakes="3") == {"cakes": "3"}
