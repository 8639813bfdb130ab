"""The route of a request as a template (`/items/{id}`), for metrics and span names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


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
