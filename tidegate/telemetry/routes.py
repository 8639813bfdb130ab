"""Which route a request took, as a template (`/items/{id}`) that metrics and span names can carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match

_flatten: Callable[[Sequence[BaseRoute]], Iterable[Any]]
try:
    # FastAPI keeps an included router as one route, which this opens.
    from fastapi.routing import iter_route_contexts as _flatten
except ImportError:  # no FastAPI, or one that includes a router's routes one by one
    _flatten = iter

_REMEMBERED: Final = 1024
_REMEMBERED_PATH: Final = 256


class RouteNames(NamedTuple):
    """A request's route; empty where none matched.

    Attributes:
        full: through mounts down to the endpoint (`/shop/items/{id}`).
        top: the app's own route, which ends at a mount (`/shop`), as OpenTelemetry's
            instrumentation names it.
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
    """Finds routes by asking the app's own; remembers short paths, as matching costs a regex a route."""

    app: Starlette
    _remembered: dict[tuple[str, str, str], RouteNames] = field(default_factory=dict)
    _generation: int = -1
    _by_host: bool = False

    def find(self, scope: Mapping[str, Any], root_path: str) -> RouteNames:
        """The route of a request; `root_path` is the one it came with, before mounts changed it."""
        routes = self.app.routes
        if len(routes) != self._generation:
            self._generation = len(routes)
            self._remembered.clear()
            self._by_host = any(isinstance(route, Host) for route in routes)
        key = (scope["method"], scope["path"], root_path)
        names = self._remembered.get(key)
        if names is None:
            start = {
                "type": "http",
                "method": scope["method"],
                "path": scope["path"],
                "root_path": root_path,
                "headers": scope.get("headers", []),
            }
            names = _match(routes, start)
            if len(key[1]) <= _REMEMBERED_PATH and not self._by_host:
                if len(self._remembered) >= _REMEMBERED:
                    self._remembered.clear()
                self._remembered[key] = names
        return names


def _match(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> RouteNames:
    names = NO_ROUTE
    for route in _flatten(routes):
        match, child = route.matches(scope)
        if match == Match.NONE:
            continue
        path = getattr(route, "path", None)
        # A Host route has no path of its own; the instrumentation names the request's then.
        top = scope["path"] if path is None else path
        names = RouteNames(path or "", top)
        if match == Match.FULL:
            inner = _match(getattr(route, "routes", None) or (), {**scope, **child})
            return RouteNames((path or "") + inner.full, top)
    return names
