"""The Overview: the state of the stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tidegate.console.site import Page, Site
from tidegate.stack.supervisor.control_client import ControlError

PAGE: Final = Page("overview", "/", "Overview")
BLOCKS: Final = ("state",)
SECONDS: Final = 2.0


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""

    async def read() -> Mapping[str, Any]:
        values = await _values(site)
        return {"blocks": site.blocks(PAGE, BLOCKS, **values), "problems": values["problems"]}

    async def show(request: Request) -> Response:
        del request
        return site.render(PAGE, **await _values(site))

    async def live(request: Request) -> Response:
        del request
        return site.polls.poll("overview", read, SECONDS).response()

    return [Route(PAGE.path, show), Route("/overview/live", live)]


async def _values(site: Site) -> dict[str, Any]:
    try:
        snapshot = await site.sources.snapshot()
    except ControlError as error:
        return {"snapshot": None, "problems": [{"source": "Supervisor", "text": str(error)}]}
    return {"snapshot": snapshot, "problems": []}
