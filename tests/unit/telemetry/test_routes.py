from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Mount, Route

from tidegate.telemetry.routes import NO_ROUTE, RouteFinder, RouteNames, route_path


async def empty(request: Request) -> Response:
    return Response()


def inner() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/items/{item_id}", empty)
    return app


def finder() -> RouteFinder:
    app = FastAPI()
    router = APIRouter(prefix="/v1")
    router.add_api_route("/things/{thing}", empty)
    app.include_router(router, prefix="/api")
    app.add_api_route("/", empty)
    app.add_api_route("/items/{item_id}", empty)
    app.mount("/shop", inner())
    app.mount("/deep", Starlette(routes=[Mount("/er", routes=[Route("/x/{y}", empty)])]))
    return RouteFinder(app)


def find(where: RouteFinder, path: str, method: str = "GET", root_path: str = "") -> RouteNames:
    scope = {"type": "http", "method": method, "path": path, "headers": [(b"host", b"a.example")]}
    return where.find(scope, root_path)


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
        ("/items/3/", "", ""),
        ("/docs", "/docs", "/docs"),
    ],
)
def test_a_route_is_named_by_its_template(path: str, full: str, top: str) -> None:
    where = finder()
    for _ in range(2):  # the second time from memory
        assert find(where, path) == RouteNames(full, top)


def test_a_method_that_the_route_lacks_still_names_it() -> None:
    assert find(finder(), "/items/3", "DELETE").full == "/items/{item_id}"


@pytest.mark.parametrize(("path", "root"), [("/proxy/items/3", "/proxy"), ("/items/3", "/proxy")])
def test_the_root_path_is_no_part_of_the_route(path: str, root: str) -> None:
    assert find(finder(), path, root_path=root).full == "/items/{item_id}"


def test_a_host_route_is_named_by_the_path_and_never_remembered() -> None:
    app = Starlette(routes=[Host("a.example", Starlette(routes=[Route("/x", empty)]))])
    where = RouteFinder(app)
    assert find(where, "/x") == RouteNames("/x", "/x")
    other = {"type": "http", "method": "GET", "path": "/x", "headers": [(b"host", b"b.example")]}
    assert where.find(other, "") == NO_ROUTE


def test_a_route_that_is_added_later_is_found() -> None:
    app = Starlette()
    where = RouteFinder(app)
    assert find(where, "/late") == NO_ROUTE
    app.router.routes.append(Route("/late", empty))
    assert find(where, "/late").full == "/late"


def test_a_client_cannot_fill_the_memory() -> None:
    where = finder()
    for number in range(5000):
        find(where, f"/nothing/{number}")
    find(where, "/" + "x" * 10_000)
    assert len(where._remembered) <= 1024
    assert max(len(path) for _, path, _ in where._remembered) < 300


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/a/b", "", "/a/b"),
        ("/a/b", "/a", "/b"),
        ("/a", "/a", ""),
        ("/ab", "/a", "/ab"),
        ("/b", "/a", "/b"),
    ],
)
def test_the_path_below_the_root(path: str, root: str, below: str) -> None:
    assert route_path({"path": path, "root_path": root}) == below
