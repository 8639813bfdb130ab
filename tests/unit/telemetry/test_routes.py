from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Match, Mount, Route

from support.harnesses.telemetry_harness import Harness, duration_sample
from support.samples.asgi_apps import ok
from tidegate.telemetry.routes import NO_ROUTE, RouteNames, route_path
from tidegate.telemetry.starlette_routes import RouteFinder


def inner() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/items/{item_id}", ok)
    return app


def finder() -> RouteFinder:
    app = FastAPI()
    router = APIRouter(prefix="/v1")
    router.add_api_route("/things/{thing}", ok)
    app.include_router(router, prefix="/api")
    app.add_api_route("/", ok)
    app.add_api_route("/items/{item_id}", ok)
    app.mount("/shop", inner())
    app.mount("/deep", Starlette(routes=[Mount("/er", routes=[Route("/x/{y}", ok)])]))
    return RouteFinder(app)


def find(routes: RouteFinder, path: str, method: str = "GET", root_path: str = "") -> RouteNames:
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"a.example")]}
    return routes.find(scope, root_path)


@pytest.mark.parametrize(
    ("path", "full", "top"),
    [
        ("/", "/", "/"),
        ("/items/3", "/items/{item_id}", "/items/{item_id}"),
        ("/api/v1/things/3", "/api/v1/things/{thing}", "/api/v1/things/{thing}"),
        ("/shop/items/3", "/shop/items/{item_id}", "/shop"),
        ("/shop/nothing", "/shop", "/shop"),
        ("/deep/er/x/1", "/deep/er/x/{y}", "/deep"),
        ("/nothing", "", ""),
        ("/items/3/", "/items/{item_id}", "/items/{item_id}"),
        ("/shop/items/3/", "/shop/items/{item_id}", "/shop"),
        ("/docs", "/docs", "/docs"),
    ],
)
def test_a_route_is_named_by_its_template(path: str, full: str, top: str) -> None:
    routes = finder()
    for _ in range(2):  # the second time from the cache
        assert find(routes, path) == RouteNames(full, top)


@pytest.mark.parametrize(
    ("path", "method", "root"),
    [
        ("/items/3", "DELETE", ""),
        ("/proxy/items/3", "GET", "/proxy"),
        ("/items/3", "GET", "/proxy"),
    ],
)
def test_neither_the_method_nor_the_root_path_matters(path: str, method: str, root: str) -> None:
    assert find(finder(), path, method, root).full == "/items/{item_id}"


def test_the_routes_of_a_host_are_named_by_their_templates_and_are_not_cached() -> None:
    shop = Mount("/shop", routes=[Route("/{item}", ok)])
    hosted = Starlette(routes=[Route("/reset/{token}", ok), shop])
    routes = RouteFinder(Starlette(routes=[Host("a.example", hosted)]))
    assert find(routes, "/reset/secret") == RouteNames("/reset/{token}", "/reset/{token}")
    assert find(routes, "/shop/3") == RouteNames("/shop/{item}", "/shop")
    assert find(routes, "/nothing") == NO_ROUTE
    other = {"type": "http", "method": "GET", "path": "/reset/secret"}
    assert routes.find(other | {"headers": [(b"host", b"b.example")]}, "") == NO_ROUTE


def test_a_route_that_is_added_later_is_found() -> None:
    app = Starlette()
    routes = RouteFinder(app)
    assert find(routes, "/late") == NO_ROUTE
    app.router.routes.append(Route("/late", ok))
    assert find(routes, "/late").full == "/late"


class ByVersion(Route):
    """A route that the query string selects, or a key that only the real scope has."""

    def matches(self, scope: Any) -> tuple[Match, Any]:
        assert "http_version" in scope
        if scope["query_string"] != self.name.encode():
            return Match.NONE, {}
        return super().matches(scope)


class Broken(Route):
    def matches(self, scope: Any) -> tuple[Match, Any]:
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("tracing", ["native", "opentelemetry"])
async def test_a_route_of_a_class_of_its_own_has_telemetry(harness: Harness, tracing: str) -> None:
    routes = [ByVersion(f"/{{{name}}}", ok, name=f"v={name}") for name in ("one", "two")]
    app = Starlette(routes=routes)
    harness.instrument(app, tracing=tracing, sample_ratio=1)
    async with harness.client(app) as client:
        for query in ("v=one", "v=two", "v=three"):
            await client.get("/x", params=query)
    found = [event["tidegate"]["route"] for event in harness.events("request")]
    assert found == ["/{one}", "/{two}", ""]


async def test_a_route_that_raises_costs_no_event_and_no_metric(harness: Harness) -> None:
    app = Starlette(routes=[Broken("/x", ok)])
    telemetry = harness.instrument(app)
    async with harness.client(app) as client:
        assert (await client.get("/x")).status_code == 500
    assert harness.event("request")["tidegate"]["route"] == ""
    assert duration_sample(telemetry.registry, "_count") == 1


def test_the_size_of_the_cache_is_limited() -> None:
    routes = finder()
    for number in range(5000):
        find(routes, f"/nothing/{number}")
    find(routes, "/" + "x" * 10_000)
    assert len(routes._cache) <= 1024
    assert max(len(path) for _, path, _ in routes._cache) < 300


def test_the_path_below_the_root() -> None:
    cases = [("/a/b", "", "/a/b"), ("/a/b", "/a", "/b"), ("/a", "/a", ""), ("/ab", "/a", "/ab")]
    for path, root, below in [*cases, ("/b", "/a", "/b")]:
        assert route_path({"path": path, "root_path": root}) == below
