"""`TelemetryMiddleware`: the telemetry of an application of any ASGI framework."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

from tidegate.settings import Settings, load
from tidegate.telemetry.app_routes import AppRoutes
from tidegate.telemetry.asgi import ASGIApp, Receive, Scope, Send, layers
from tidegate.telemetry.identity import with_app_name
from tidegate.telemetry.request_middleware import RequestMiddleware
from tidegate.telemetry.routes import route_path
from tidegate.telemetry.telemetry import Telemetry

INSTRUMENTED: Final = "tidegate_telemetry"
"""Of the state of a Starlette application: its telemetry, if `instrument` has set it up."""
WRAPPED: Final = "tidegate_wrapped"
"""Of the same: that a `TelemetryMiddleware` is around it."""
TWICE: Final = (
    "the application already has telemetry, so each request would count twice: use either instrument(app) or "
    "TelemetryMiddleware(app), once"
)

_NO_NAMES: Final = frozenset({"starlette", "fastapi", "litestar", "quart", "tidegate"})
"""Packages that create a middleware for the application, whose name is not the application's."""


class TelemetryMiddleware:
    """An event, spans and metrics for each request of an ASGI application.

    Wrap it around the application (`app = TelemetryMiddleware(app)`), or, in Starlette and FastAPI, add it by
    `app.add_middleware(TelemetryMiddleware, telemetry=telemetry)`. Wrapped around it, it also sees the
    response to an unhandled exception. Close the telemetry at the end where the framework has no lifespan.

    Args:
        app: the application.
        telemetry: its telemetry, or the settings of a new one; None reads them from tidegate.toml and the
            environment, and `service.name` defaults to the application's title or the calling module.
        metrics_path: the path below the root path at which the metrics are; None for no such path. Those of
            the application's own route with this path, if its framework is Starlette or FastAPI, come first,
            without those that Tidegate has too.

    Attributes:
        app: the application.
        telemetry: its telemetry; register further metrics in its `registry`.
        metrics_path: where the metrics are; None for nowhere.

    Raises:
        RuntimeError: the application has telemetry already, so each request would count twice.
        SettingsError: as `Telemetry`.
    """

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry | Settings | None = None,
        *,
        metrics_path: str | None = "/metrics",
    ) -> None:
        _refuse_second(app)
        self.app: Final = app
        if telemetry is None:
            frame = inspect.currentframe()
            caller = frame.f_back if frame else None
            telemetry = _settings(app, caller.f_globals if caller else {})
        if isinstance(telemetry, Settings):
            version = str(getattr(app, "version", "") or "0")
            telemetry = Telemetry(telemetry, version=version)
        _mark(app)
        self.telemetry: Final = telemetry
        self.metrics_path: Final = metrics_path
        self._routes = AppRoutes(app)
        self._shared = telemetry.metrics_endpoint.beside(app)
        self._serve = RequestMiddleware(
            telemetry.tracing.wrap(app, self._routes), telemetry, self._routes
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, pass a websocket through, or observe the lifespan."""
        if self._is_for_metrics(scope):
            is_theirs = self._routes.defines(route_path(scope))
            endpoint = self._shared if is_theirs else self.telemetry.metrics_endpoint
            await endpoint(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    def _is_for_metrics(self, scope: Scope) -> bool:
        path = self.metrics_path
        return (
            path is not None
            and scope["type"] == "http"
            and scope["path"].endswith(path)
            and route_path(scope) == path
            and scope["method"] in ("GET", "HEAD")
        )


def _refuse_second(app: object) -> None:
    """Refuse an application that has telemetry."""
    for layer in layers(app):
        state = getattr(layer, "state", None)
        if isinstance(layer, TelemetryMiddleware) or hasattr(state, INSTRUMENTED):
            raise RuntimeError(TWICE)


def _mark(app: object) -> None:
    """Mark an application as one that has telemetry."""
    for layer in layers(app):
        # Starlette's own state, not that of another framework.
        if hasattr(layer, "user_middleware"):
            setattr(getattr(layer, "state", None), WRAPPED, True)


def _settings(app: object, module: Mapping[str, Any]) -> Settings:
    package = str(module.get("__name__", "")).partition(".")[0]
    return with_app_name(load(), app, {} if package in _NO_NAMES else module)
