"""The application of the console."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from tidegate.console.live import Live
from tidegate.console.pages import load, model, overview, scaling, search, traces
from tidegate.console.security import PUBLIC, Security
from tidegate.console.site import FOLDER, Site
from tidegate.console.sources import Sources
from tidegate.runtime.event_log import EventLog

# The navigation: each page is a module, with a template of the same name.
PAGES: Final = (overview, search, traces, scaling, model, load)

FAULT: Final = (
    "the console failed: tidegate search 'service.node.name:console AND event.action:fault'\n"
)


def create_app(
    sources: Sources, event_log: EventLog, tokens: Callable[[], Sequence[str]] = tuple
) -> tuple[ASGIApp, Live]:
    """The application, and its live updates, which the caller closes.

    Args:
        sources: what the pages read.
        event_log: gets each unexpected exception, and each change that a person makes in a page.
        tokens: those that are valid now; empty means that only this machine may ask.
    """
    live = Live(event_log.fault)
    site = Site(sources, live, event_log, tuple(one.PAGE for one in PAGES))
    routes = [
        Route(PUBLIC, _alive),
        Mount("/static", StaticFiles(directory=FOLDER / "static"), name="static"),
        *(route for one in PAGES for route in one.routes(site)),
    ]

    async def fault(request: Request, error: Exception) -> Response:
        del request
        event_log.fault("console", error)
        return PlainTextResponse(FAULT, 500)

    # Around the application, since Starlette answers an exception outside its middleware.
    return Security(Starlette(routes=routes, exception_handlers={Exception: fault}), tokens), live


async def _alive(request: Request) -> Response:
    del request
    return PlainTextResponse("live\n")
