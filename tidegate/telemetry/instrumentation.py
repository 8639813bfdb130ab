"""`instrument(app)`: the telemetry of one FastAPI or Starlette application."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace.id_generator import IdGenerator

from tidegate.events.event import Origin
from tidegate.settings import Settings, load
from tidegate.telemetry.app_routes import AppRoutes
from tidegate.telemetry.asgi import ASGIApp, is_starlette, layers
from tidegate.telemetry.identity import with_app_name
from tidegate.telemetry.middleware import INSTRUMENTED, TWICE, WRAPPED, TelemetryMiddleware
from tidegate.telemetry.request_middleware import RequestMiddleware
from tidegate.telemetry.request_record import Clock
from tidegate.telemetry.telemetry import Telemetry

if TYPE_CHECKING:
    from starlette.applications import Starlette


def instrument(
    app: Starlette,
    settings: Settings | None = None,
    *,
    origin: Origin | None = None,
    clock: Clock | None = None,
    ids: IdGenerator | None = None,
) -> Telemetry:
    """Instrument a FastAPI or Starlette application: an event, spans and metrics for each request.

    It adds the route `/metrics` and the outermost middleware. Call it once, before the application starts.
    `TelemetryMiddleware` does the same for an application of any ASGI framework.

    Args:
        app: the application.
        settings: the settings. By default they are read from tidegate.toml and the environment; if
            `service.name` is not set there, it is the application's title or the name of the calling module.
        origin: the `service.*` fields of the events; by default from the settings and the application's
            version.
        clock: the source of times.
        ids: generates trace and span ids.

    Returns:
        The application's telemetry. Register further metrics in its `registry`.

    Raises:
        SettingsError: a setting is invalid, the folder of event files cannot be created, or
            `telemetry.metrics_port` is taken.
        RuntimeError: the application has telemetry already, or has started.
        TypeError: it is neither a FastAPI nor a Starlette application.
    """
    _check(app)
    if settings is None:
        frame = inspect.currentframe()
        caller = frame.f_back if frame else None
        settings = with_app_name(load(), app, caller.f_globals if caller else {})
    version = str(getattr(app, "version", "") or "0")
    telemetry = Telemetry(settings, origin, version=version, clock=clock, ids=ids)
    telemetry.tracing.instrument(app)
    _install(app, telemetry)
    return telemetry


def telemetry_of(app: object) -> Telemetry | None:
    """The telemetry of an application, or None if it has none.

    It finds what `instrument(app)`, `TelemetryMiddleware(app, …)` and
    `app.add_middleware(TelemetryMiddleware, telemetry=…)` have set up, also inside other middlewares.
    """
    for layer in layers(app):
        if isinstance(layer, TelemetryMiddleware):
            return layer.telemetry
        for found in (getattr(getattr(layer, "state", None), INSTRUMENTED, None), _added(layer)):
            if isinstance(found, Telemetry):
                return found
    return None


def _added(app: object) -> object:
    """The argument `telemetry` of the middleware in Starlette's list; None without one."""
    for added in getattr(app, "user_middleware", ()):
        if added.cls is TelemetryMiddleware:
            return added.kwargs.get("telemetry", next(iter(added.args), None))
    return None


def _install(app: Starlette, telemetry: Telemetry) -> None:
    from tidegate.telemetry.starlette_routes import add_metrics  # noqa: PLC0415 - needs Starlette

    add_metrics(app, telemetry.metrics_endpoint)
    routes = AppRoutes(app)
    build = app.build_middleware_stack

    def build_with_telemetry() -> ASGIApp:
        # Outermost, so that it sees the response to an unhandled exception; a middleware added by
        # `add_middleware` does not.
        if _added(app) is not None:
            raise RuntimeError(TWICE)
        return RequestMiddleware(build(), telemetry, routes)

    app.build_middleware_stack = build_with_telemetry  # type: ignore[method-assign]
    setattr(app.state, INSTRUMENTED, telemetry)


def _check(app: Any) -> None:
    if not is_starlette(app):
        raise TypeError(
            f"expected a FastAPI or Starlette application, got {type(app).__name__}; wrap an application of "
            "another framework in TelemetryMiddleware"
        )
    if app.middleware_stack is not None:
        raise RuntimeError("call instrument(app) before the application's first request")
    if telemetry_of(app) is not None or hasattr(app.state, WRAPPED):
        raise RuntimeError(TWICE)
