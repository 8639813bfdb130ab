"""Puts telemetry and slots around an application, in this order from the outside to the inside."""

from __future__ import annotations

from typing import Any

from tidegate.serving.slot_paths import SlotPaths
from tidegate.serving.slots import Slots
from tidegate.serving.slots_middleware import SlotsMiddleware
from tidegate.settings import Settings
from tidegate.telemetry import Telemetry, TelemetryMiddleware, instrument, telemetry_of
from tidegate.telemetry.asgi import ASGIApp, is_starlette


def telemetry_for(app: ASGIApp, settings: Settings) -> tuple[ASGIApp, Telemetry]:
    """The application with its telemetry: that which it has set up itself, else a new one.

    Raises:
        SettingsError: as `instrument`.
        RuntimeError: it has already served a request.
    """
    if (found := telemetry_of(app)) is not None:
        return app, found
    if is_starlette(app):
        return app, instrument(app, settings)  # type: ignore[arg-type]
    wrapped = TelemetryMiddleware(app, settings)
    return wrapped, wrapped.telemetry


def add_slots(app: ASGIApp, slots: Slots, paths: SlotPaths) -> ASGIApp:
    """The application with its slots, inside its telemetry: so a refused request has an event, too.

    Raises:
        RuntimeError: it has already served a request.
    """
    if is_starlette(app):
        _add_to_starlette(app, slots, paths)
        return app
    if isinstance(app, TelemetryMiddleware):
        inner = SlotsMiddleware(app.app, slots, paths)
        return TelemetryMiddleware(inner, app.telemetry, metrics_path=app.metrics_path)
    # Its telemetry is further inside, under middlewares of its own.
    return SlotsMiddleware(app, slots, paths)


def _add_to_starlette(app: Any, slots: Slots, paths: SlotPaths) -> None:
    from starlette.middleware import Middleware  # noqa: PLC0415  it is installed with the application

    if app.middleware_stack is not None:
        raise RuntimeError("make the replica before the application's first request")
    added = [
        index
        for index, middleware in enumerate(app.user_middleware)
        if middleware.cls is TelemetryMiddleware
    ]
    place = added[0] + 1 if added else 0
    app.user_middleware.insert(place, Middleware(SlotsMiddleware, slots=slots, paths=paths))
