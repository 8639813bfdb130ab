"""The routes of a Starlette or FastAPI application, and the streams that its middlewares end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import BaseRoute, Host, Match, Route, Router

from tidegate.telemetry.asgi import (
    ASGIApp,
    Message,
    Receive,
    Scope,
    Send,
    fault_behind,
    is_client_disconnect,
    layers,
)
from tidegate.telemetry.metrics import MetricsEndpoint
from tidegate.telemetry.request_record import hold_log, record_of
from tidegate.telemetry.routes import NO_ROUTE, RouteNames
from tidegate.telemetry.shared_metrics import OWN

_OWN_MODULES: Final = frozenset({"starlette.routing", "fastapi.routing", __name__})
METRICS: Final = "/metrics"
_MAX_CACHED: Final = 1024
_MAX_CACHED_PATH: Final = 256


@dataclass(slots=True)
class RouteFinder:
    """Finds the route of a request. It caches short paths, as matching evaluates a regex per route.

    A route of a class of its own may raise: then the request has no route, but its event and its metrics.
    """

    app: Starlette | Router
    _cache: dict[tuple[str, str, str], RouteNames] = field(default_factory=dict)
    _generation: int = -1
    _by_path: bool = True

    def find(self, scope: Mapping[str, Any], root_path: str) -> RouteNames:
        """The route of a request; `root_path` is the one at its arrival, before mounts changed it."""
        routes = self.app.routes
        if len(routes) != self._generation:
            self._generation = len(routes)
            self._cache.clear()
            self._by_path = _depend_on_path(routes)
        key = (scope.get("method", ""), scope["path"], root_path)  # a websocket has no method
        names = self._cache.get(key)
        if names is None:
            try:
                names = _match(routes, {**scope, "root_path": root_path})
            except Exception:  # noqa: BLE001 - a route of the application's own may raise anything
                return NO_ROUTE
            if len(key[1]) <= _MAX_CACHED_PATH and self._by_path:
                if len(self._cache) >= _MAX_CACHED:
                    self._cache.clear()
                self._cache[key] = names
        return names

    def defines(self, path: str) -> bool:
        """Whether the application itself has a route with exactly this path."""
        return any(getattr(route, "path", None) == path for route in _flatten(self.app.routes))


class MetricsRoute(Route):
    """`GET /metrics`, unless the application is asked for a route of its own with this path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether it takes a request."""
        return (Match.NONE, {}) if OWN in scope else super().matches(scope)


def add_metrics(app: Starlette, endpoint: MetricsEndpoint) -> None:
    """Add the route of the metrics: those of the application's own `GET /metrics`, if it has one, and ours.

    First, so that no catch-all route or mount at "/" of the application hides it.
    """
    metrics = _Metrics(app, endpoint)
    route = MetricsRoute(METRICS, metrics, methods=["GET"], include_in_schema=False)
    app.router.routes.insert(0, route)


class _Metrics:
    """Chooses at each scrape, as routes may be added to the application at any time."""

    def __init__(self, app: Starlette, endpoint: MetricsEndpoint) -> None:
        self._app, self._alone, self._shared = app, endpoint, endpoint.beside(app.router)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        paths = [getattr(route, "path", None) for route in _flatten(self._app.routes)]
        endpoint = self._shared if paths.count(METRICS) > 1 else self._alone
        await endpoint(scope, receive, send)


class StreamObserver:
    """Notes the exception behind a 5xx, or that ends a response, inside a `BaseHTTPMiddleware`.

    `@app.middleware("http")` makes one. It ends a response that has begun as if it were complete, and raises
    afterwards.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun, earlier = False, sys.exception()

        async def send_observed(message: Message) -> None:
            nonlocal begun
            if not begun and message.get("status", 0) >= 500:
                # The middleware sends it on from another task, in which no exception is being handled.
                hold_log(fault_behind(sys.exception(), earlier), lambda: None)
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_observed)
        except Exception as error:
            record = record_of(scope)
            if begun and record and not (record.finished or is_client_disconnect(error)):
                record.exception = error
            raise


_SERVE: Final = BaseHTTPMiddleware.__call__


async def _serve_observed(
    self: BaseHTTPMiddleware, scope: Scope, receive: Receive, send: Send
) -> None:
    if not isinstance(self.app, StreamObserver):
        self.app = StreamObserver(self.app)
    await _SERVE(self, scope, receive, send)


# Of the class, as each is one: of an application that is mounted, of a route, of one that is built later.
BaseHTTPMiddleware.__call__ = _serve_observed  # type: ignore[method-assign]


def wrapped_application(app: object) -> Starlette | Router | None:
    """The Starlette application, or its router, that middlewares wrap; None if there is none."""
    for layer in layers(app):
        if isinstance(layer, Starlette | Router):
            return layer
    return None


def routed_by(scope: Mapping[str, Any], root_path: str) -> Starlette | Router | None:
    """The Starlette application, or the router, that has routed a request; None if none has.

    Args:
        scope: the request's scope after the call. Each application writes itself to `app`, so after a mount
            it is the mounted one; only the outermost router writes itself to `router`.
        root_path: the root path at the arrival, which a mount extends.
    """
    mounted = scope.get("root_path", "") != root_path
    routed = scope.get("router" if mounted else "app")
    return routed if isinstance(routed, Starlette | Router) else None


def _depend_on_path(routes: Sequence[BaseRoute]) -> bool:
    """Whether the method and the path alone decide which of these routes takes a request."""
    return all(
        not isinstance(getattr(route.matches, "__self__", route), Host)
        and getattr(route.matches, "__module__", "") in _OWN_MODULES
        and _depend_on_path(getattr(route, "routes", None) or ())
        for route in _flatten(routes)
    )


def _match(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> RouteNames:
    """The route; of a path that a router redirects, with slashes too many or one too few, the other's."""
    names = _match_exactly(routes, scope)
    if names == NO_ROUTE:
        path: str = scope["path"]
        other = path.rstrip("/") if path.endswith("/") else f"{path}/"
        names = _match_exactly(routes, {**scope, "path": other})
    return names


def _match_exactly(routes: Sequence[BaseRoute], scope: dict[str, Any]) -> RouteNames:
    names = NO_ROUTE
    for route in _flatten(routes):
        match, child = route.matches(scope)
        if match == Match.NONE:
            continue
        path = getattr(route, "path", None)
        names = RouteNames(path or "", path or "")
        if match == Match.FULL:
            inner = _match(getattr(route, "routes", None) or (), {**scope, **child})
            # A Host route has no path: its routes are at the top.
            return RouteNames((path or "") + inner.full, inner.top if path is None else path)
    return names


def _flatten(routes: Sequence[BaseRoute]) -> Iterable[Any]:
    """The routes, with those of a router that FastAPI has included, in newer versions as one route.

    An application that has such a router has imported FastAPI; others need not.
    """
    found: Iterable[Any] = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", iter)(
        routes
    )
    return found
