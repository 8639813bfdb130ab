"""The route of a request as a template (`/items/{id}`), for metrics and span names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match

_flatten: Callable[[Sequence[BaseRoute]], Iterable[Any]]
try:
    # FastAPI has an included router as one route; this iterates over its routes.
    from fastapi.routing import iter_route_contexts as _flatten
except (
    ImportError
):  # without FastAPI, or with a version that includes the routes of a router one by one
    _flatten = iter

_MAX_CACHED: Final = 1024
_MAX_CACHED_PATH: Final = 256


class RouteNames(NamedTuple):
    """The route of a request; empty if none matched.

    Attributes:
        full: the route of the endpoint, through mounts (`/shop/items/{id}`).
        top: the route in the application itself, which ends at a mount (`/shop`), as in OpenTelemetry's
            instrumentation.
    """

    full: str
    top: str


NO_ROUTE: Final = RouteNames("", "")


def route_path(scope: Mapping[str, Any]) -> str:
    """The path below the app's root path, as Starlette routes it."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root or not path.startswith(root):
        return path
    below = path[len(root) :]
    return below if not below or below.startswith("/") else path


@dataclass(slots=True)
class RouteFinder:
    """Finds the route of a request. It caches short paths, as matching evaluates a regex per route."""

    app: Starlette
    _cache: dict[tuple[str, str, str], RouteNames] = field(default_factory=dict)
    _generation: int = -1
    _by_host: bool = False

    def find(self, scope: Mapping[str, Any], root_path: str) -> RouteNames:
        """The route of a request; `root_path` is the one at its arrival, before mounts changed it."""
        routes = self.app.routes
        if len(routes) != self._generation:
            self._generation = len(routes)
            self._cache.clear()
            self._by_host = any(isinstance(route, Host) for route in routes)
        key = (scope["method"], scope["path"], root_path)
        names = self._cache.get(key)
        if names is None:
            start = {
                "type": "http",
                "method": scope["method"],
                "path": scope["path"],
                "root_path": root_path,
                "headers": scope.get("headers", []),
            }
            names = _match(routes, start)
            if len(key[1]) <= _MAX_CACHED_PATH and not self._by_host:
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[key] = names
        return names


def _match(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> RouteNames:
    names = NO_ROUTE
    for route in _flatten(routes):
        match, child = route.matches(scope)
        if match == Match.NONE:
            continue
        path = getattr(route, "path", None)
        # A Host route has no path; the instrumentation uses the path of the request.
        top = scope["path"] if path is None else path
        names = RouteNames(path or "", top)
        if match == Match.FULL:
            inner = _match(getattr(route, "routes", None) or (), {**scope, **child})
            return RouteNames((path or "") + inner.full, top)
    return names
