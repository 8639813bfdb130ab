"""The route of a request in an application of any ASGI framework."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from tidegate.telemetry.routes import NO_ROUTE, RouteNames

if TYPE_CHECKING:
    from tidegate.telemetry.starlette_routes import RouteFinder

LITESTAR_ROUTE: Final = "path_template"
"""The key of the scope with the route's template; `litestar/_asgi/asgi_router.py` sets it."""

_MAX_FINDERS: Final = 16
_STARLETTE_INSTALLED: Final = find_spec("starlette") is not None


class AppRoutes:
    """Finds the route of a request; it never returns a path that a client has chosen.

    The routes of a Starlette or FastAPI application are matched: of the one that `app` is or that middlewares
    of this process wrap, else of the one that the scope names after the call. Of other frameworks it is what
    they leave in the scope; without that it is empty, as if no route had matched.
    """

    def __init__(self, app: object) -> None:
        self._finders: dict[int, RouteFinder] = {}
        self._own = _own_finder(app)

    def find(self, scope: Mapping[str, Any], root_path: str) -> RouteNames:
        """The route of a request after the call; `root_path` is the one at its arrival."""
        if self._own is not None:
            return self._own.find(scope, root_path)
        template = scope.get(LITESTAR_ROUTE)
        if isinstance(template, str) and template:
            return RouteNames(template, template)
        return self._find_routed(scope, root_path)

    def find_early(self, scope: Mapping[str, Any]) -> RouteNames:
        """The route of a request before the call; empty if it is known only later."""
        if self._own is None:
            return NO_ROUTE
        return self._own.find(scope, scope.get("root_path", ""))

    def defines(self, path: str) -> bool:
        """Whether the application is known to have a route with exactly this path."""
        return self._own is not None and self._own.defines(path)

    def _find_routed(self, scope: Mapping[str, Any], root_path: str) -> RouteNames:
        if not _STARLETTE_INSTALLED:
            return NO_ROUTE
        from tidegate.telemetry.starlette_routes import (  # noqa: PLC0415 - needs Starlette
            RouteFinder,
            routed_by,
        )

        app = routed_by(scope, root_path)
        if app is None:
            return NO_ROUTE
        finder = self._finders.get(id(app))
        if finder is None:
            if len(self._finders) >= _MAX_FINDERS:  # an application that is made for each request
                self._finders.clear()
            # The finder keeps the application, so its id stays its own.
            finder = self._finders[id(app)] = RouteFinder(app)
        return finder.find(scope, root_path)


def _own_finder(app: object) -> RouteFinder | None:
    if not _STARLETTE_INSTALLED:
        return None
    from tidegate.telemetry.starlette_routes import (  # noqa: PLC0415 - needs Starlette
        RouteFinder,
        wrapped_application,
    )

    wrapped = wrapped_application(app)
    return None if wrapped is None else RouteFinder(wrapped)
