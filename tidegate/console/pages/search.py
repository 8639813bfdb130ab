"""Requests and logs: search events, look at one, follow them, and take them away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tidegate.console import event_view
from tidegate.console.results import Problem, find, or_problem, problem_of
from tidegate.console.search_request import Wanted
from tidegate.console.series import RANGES
from tidegate.console.site import Page, Site
from tidegate.store.base import SearchRequest, StoreUnavailableError
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search import pages
from tidegate.store.search.completion import completions
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.field_names import unknown_names

PAGE: Final = Page("search", Wanted.PATH, "Requests and logs")
EVENT: Final = Page("event", Wanted.PATH, "Event")
LIVE_SECONDS: Final = 2.0
EXPORT_EVENTS: Final = 100_000
EXPORT_PAGE: Final = 1000
EXPORTS: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
COMPLETIONS: Final = 30


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""

    async def show(request: Request) -> Response:
        return site.render(PAGE, **await _values(site, Wanted.of(request.query_params)))

    async def live(request: Request) -> Response:
        wanted = Wanted.of(request.query_params)

        def update(values: dict[str, Any]) -> Mapping[str, Any]:
            if problem := values["problem"]:
                return {"problems": [{"source": "Event store", "text": problem.text}]}
            return {"blocks": site.blocks(PAGE, **values), "problems": []}

        read = partial(_values, site, wanted, facets=False)
        return site.live.response(request, wanted.url("search"), read, LIVE_SECONDS, update)

    async def complete(request: Request) -> Response:
        typed, since = (request.query_params.get(name, "") for name in ("q", "since"))
        start = None
        with suppress(ValueError):
            start = time_ranges.when(since, datetime.now(UTC))
        found = await site.sources.in_thread(lambda: completions(site.sources.store, typed, start))
        return JSONResponse(found[:COMPLETIONS])

    async def event(request: Request) -> Response:
        return await _event(site, request.path_params["id"], request)

    async def export(request: Request) -> Response:
        return await _export(site, Wanted.of(request.query_params), request.path_params["format"])

    return [
        Route(PAGE.path, show),
        Route("/search/live", live),
        Route("/search/complete", complete),
        Route("/search/export.{format:str}", export),
        Route("/events/{id:path}", event),
    ]


async def _values(site: Site, wanted: Wanted, *, facets: bool = True) -> dict[str, Any]:
    """What the template needs; `problem` says why there are no results."""
    store, now = site.sources.store, datetime.now(UTC)

    async def read() -> dict[str, Any]:
        found = await site.sources.in_thread(lambda: find(store, wanted, now, facets=facets))
        if found.total:
            return {"found": found}
        unknown = await site.sources.in_thread(lambda: unknown_names(store, wanted.q))
        stored = (await site.sources.search(SearchRequest(size=0))).total > 0
        return {"found": found, "unknown": unknown, "any": stored}

    return {
        "wanted": wanted,
        "ranges": RANGES,
        "command": event_view.command(wanted.q, wanted.since, wanted.until),
        "limit": EXPORT_EVENTS,
        **await or_problem(read(), wanted.q),
    }


async def _event(site: Site, identity: str, request: Request) -> Response:
    """One event: a page, or with `?part=1` what the drawer shows."""
    this = condition("event.id", identity)

    async def read() -> dict[str, Any]:
        hits = (await site.sources.search(SearchRequest(this, size=1))).hits
        if not hits:
            text = f"No stored event has the event.id {identity}"
            return {"problem": Problem("No such event", text, None, 404), "status": 404}
        return {"event": hits[0], "alike": Wanted(q=event_view.more_like(hits[0])).url()}

    return site.render(
        EVENT,
        id=identity,
        part=bool(request.query_params.get("part")),
        wanted=Wanted.of(request.query_params),
        command=event_view.command(this, "365d", ""),
        **await or_problem(read()),
    )


async def _export(site: Site, wanted: Wanted, form: str) -> Response:
    """The matching events as a file, newest first; it is sent page by page."""
    columns = dict.fromkeys(("@timestamp", "log.level", *wanted.columns, "trace.id", "event.id"))
    if form not in EXPORTS:
        return JSONResponse({"detail": f"there is no export as {form}: use ndjson or csv"}, 404)
    store = site.sources.store

    def next_page(after: pages.Cursor | None) -> pages.Page:
        return pages.page(store, request, after)

    try:
        request = wanted.request(datetime.now(UTC), EXPORT_PAGE)
        first = await site.sources.export(lambda: next_page(None))
    except (ValueError, StoreUnavailableError) as error:
        return JSONResponse({"detail": str(error)}, problem_of(error).status)

    async def body() -> AsyncIterator[str | bytes]:
        if form == "csv":
            yield event_view.csv_row([name.removeprefix("@") for name in columns])
        page, left = first, EXPORT_EVENTS
        while True:
            for event in page.events[:left]:
                if form == "csv":
                    yield event_view.csv_row([value_of(event, name) for name in columns])
                else:
                    yield orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
            left -= len(page.events)
            after = page.next
            if after is None or left <= 0:
                return
            page = await site.sources.export(partial(next_page, after))

    name = f"attachment; filename=tidegate-events.{form}"
    return StreamingResponse(
        body(), media_type=EXPORTS[form], headers={"Content-Disposition": name}
    )
