"""The application of the console."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tidegate.console.live import Live
from tidegate.console.pages import (
    errors,
    load,
    model,
    overview,
    replicas,
    scaling,
    search,
    traces,
)
from tidegate.console.security import Security
from tidegate.console.site import FOLDER, Site
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import EventLog

# The navigation: each page is a module, with a template of the same name.
PAGES: Final = (overview, search, errors, traces, replicas, scaling, model, load)

FAULT: Final = (
    "the console failed: tidegate search 'service.node.name:console AND event.action:fault'\n"
)


def create_app(
    sources: Sources, event_log: EventLog, tokens: Callable[[], Sequence[str]] = tuple
) -> tuple[ASGIApp, Live]:
    """The application, and its live updates, which the caller closes.

    `event_log` gets each unexpected exception, and each change that a person makes in a page. While there are
    no valid `tokens`, only this machine may ask.
    """
    live = Live(event_log.fault)
    site = Site(sources, live, event_log, tuple(one.PAGE for one in PAGES))
    routes = [
        Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
        *(route for one in PAGES for route in one.routes(site)),
    ]

    async def fault(_: Request, error: Exception) -> Response:
        event_log.fault("console", error)
        return PlainTextResponse(FAULT, 500)

    # Around the application, since Starlette answers an exception outside its middleware.
    return Security(Starlette(routes=routes, exception_handlers={Exception: fault}), tokens), live
