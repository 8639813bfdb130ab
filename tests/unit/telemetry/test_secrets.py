"""SECURITY.md: no query string, header, body, client's address or parameter of a path is stored or sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from support.doubles.otlp_collector import OtlpCollector
from support.harnesses.telemetry_harness import Harness
from tidegate.telemetry import TelemetryMiddleware, get_logger
from tidegate.telemetry import telemetry as telemetry_module

ADDRESS, PORT = "203.0.113.77", 54321
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
PATHS = ("ok", "boom", "bad", "reset/{}", "boom/{}", "nowhere", "mounted/reset/{}", "mounted/boom")


async def answer(request: Request) -> Response:
    await request.body()
    get_logger("shop").info("answered")
    if "boom" in request.url.path:
        raise ValueError("on purpose")
    return PlainTextResponse("x")


def starlette_app() -> Starlette:
    methods = ["GET", "POST"]
    routes = [
        Route("/ok", answer, methods=methods),
        Route("/boom", answer, methods=methods),
        Route("/reset/{token}", answer, methods=methods),
        Route("/boom/{token}", answer, methods=methods),
    ]
    return Starlette(routes=[*routes, Mount("/mounted", routes=routes)])


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.router.routes.extend(starlette_app().routes)

    @app.post("/bad")
    async def bad(item: dict[str, int]) -> None:
        raise HTTPException(503, "on purpose")

    return app


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
    created = OtlpCollector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", created.url)
    yield created
    created.close()


@pytest.mark.parametrize(
    ("tracing", "set_up"),
    list(product(["native", "opentelemetry"], ["instrument", "wrap"])),
)
async def test_no_part_of_a_request_is_written_or_sent(
    harness: Harness,
    collector: OtlpCollector,
    capfd: pytest.CaptureFixture[str],
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
        for path in PATHS:
            for method in ("GET", "POST"):
                url = "/" + path.format(SECRETS["parameter"]) + QUERY
                body: Any = {"json": {SECRETS["body"]: SECRETS["body"]}} if method == "POST" else {}
                await client.request(method, url, headers=HEADERS, **body)
        metrics = (await client.get("/metrics")).content
    telemetry.close()
    events = written(harness.folder)
    sent = b"".join(collector.bodies)
    assert b"/reset/{token}" in events
    assert b"/reset/{token}" in sent
    printed = "".join(capfd.readouterr()).encode()
    for place, found in (("files", events), ("OTLP", sent), ("metrics", metrics), ("log", printed)):
        for secret in (*SECRETS.values(), ADDRESS, str(PORT), "access_token"):
            assert secret.encode() not in found, f"{place}: {secret}"
