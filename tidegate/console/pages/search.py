"""Requests and logs: search events, look at one, follow them, and take them away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from tidegate.console import event_view
from tidegate.console.problems import Problem, or_problem, refusal
from tidegate.console.search_request import Wanted
from tidegate.console.series import chart
from tidegate.console.site import Page, Site, milliseconds
from tidegate.console.sources import Sources
from tidegate.stack.snapshot import duration
from tidegate.store.base import SearchRequest, StoreUnavailableError
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search import pages
from tidegate.store.search.browse import Found, browse
from tidegate.store.search.completion import completions
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.field_names import unknown_names

PAGE: Final = Page("search", Wanted.PATH, "Requests and logs")
EVENT: Final = Page("event", Wanted.PATH, "Event")
SIZE: Final = 100
LIVE_SECONDS: Final = 2.0
EXPORT_EVENTS: Final = 100_000
EXPORT_PAGE: Final = 1000
EXPORTS: Final = {"ndjson": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
COMPLETIONS: Final = 30


def histogram(found: Found) -> dict[str, Any]:
    """The chart of what was found over time, by the middle of each interval."""
    seconds = found.interval.total_seconds()
    each = duration(seconds) if seconds >= 1 else milliseconds(seconds)
    title = f"Each bar is {each}; drag over them to zoom"
    series = {"events": "events", "with an error": "errors"}
    times = [start.timestamp() + seconds / 2 for start, _, _ in found.bars]
    events, errors = ([bar[part] for bar in found.bars] for part in (1, 2))
    lines = {"times": times, "values": {"events": events, "errors": errors}}
    return {
        "histogram": chart(title, series, bars=True, height=110),
        "chart": {"lines": lines if found.total else None},
    }


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources, store = site.sources, site.sources.store
    exports = partial(export, sources, asyncio.Semaphore(1))

    async def read(wanted: Wanted) -> dict[str, Any]:
        async def search() -> dict[str, Any]:
            request = wanted.request(datetime.now(UTC), SIZE)
            # A list that is updated each two seconds has none.
            facets = () if wanted.live else wanted.facets
            after = pages.cursor(wanted.after)
            found = await sources.in_thread(lambda: browse(store, request, facets, after))
            shown = {"found": found, **histogram(found)}
            if found.total:
                return shown
            unknown = await sources.in_thread(lambda: unknown_names(store, wanted.q))
            stored = (await sources.search(SearchRequest(size=0))).total > 0
            return {**shown, "unknown": unknown, "any": stored}

        values = await or_problem(search(), wanted.q)
        problem = values["problem"]
        return {
            "wanted": wanted,
            "command": event_view.command(wanted.q, wanted.since, wanted.until),
            "limit": EXPORT_EVENTS,
            "problems": {"Event store": problem.text} if problem else {},
            "chart": None,
            **values,
        }

    async def complete(request: Request) -> Response:
        asked, now = request.query_params, datetime.now(UTC)
        bounds: dict[str, datetime] = {}
        for name in ("since", "until"):
            with suppress(ValueError):
                bounds[name] = time_ranges.when(asked.get(name, ""), now)
        found = await sources.in_thread(lambda: completions(store, asked.get("q", ""), **bounds))
        return JSONResponse(found[:COMPLETIONS])

    async def event(request: Request) -> Response:
        identity = request.path_params["id"]
        this = condition("event.id", identity)

        async def read() -> dict[str, Any]:
            hits = (await sources.search(SearchRequest(this, size=1, everyone=True))).hits
            if not hits:
                text = f"No stored event has the event.id {identity}"
                return {"problem": Problem("No such event", text, 404), "status": 404}
            return {"event": hits[0], "alike": Wanted(q=event_view.more_like(hits[0])).url()}

        return await site.render(
            EVENT,
            id=identity,
            wanted=Wanted.of(request.query_params),
            command=event_view.command(this, "365d", ""),
            **await or_problem(read()),
        )

    return [
        *site.live_page(PAGE, lambda request: Wanted.of(request.query_params), read, LIVE_SECONDS),
        Route("/search/complete", complete),
        *(Route(f"/search/export.{form}", partial(exports, form)) for form in EXPORTS),
        Route("/events/{id:path}", event),
    ]


async def export(
    sources: Sources, exporting: asyncio.Semaphore, form: str, request: Request
) -> Response:
    """The matching events as a file, newest first; it is read and sent in parts."""
    wanted = Wanted.of(request.query_params)
    columns = dict.fromkeys(("@timestamp", "log.level", *wanted.columns, "trace.id", "event.id"))

    def lines() -> Iterator[bytes]:
        if form == "csv":
            yield event_view.csv_row([name.removeprefix("@") for name in columns])
        for event in pages.events(sources.store, asked, EXPORT_EVENTS):
            if form == "csv":
                yield event_view.csv_row([value_of(event, name) for name in columns])
            else:
                yield orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)

    async def next_part() -> bytes:
        # One export at a time leaves a thread to searches.
        async with exporting:
            return await sources.in_thread(lambda: b"".join(islice(written, EXPORT_PAGE)))

    async def body(part: bytes) -> AsyncIterator[bytes]:
        while part:
            yield part
            part = await next_part()

    written = lines()
    try:
        asked = wanted.request(datetime.now(UTC), EXPORT_PAGE)
        first = await next_part()
    except (ValueError, StoreUnavailableError) as error:
        return refusal(error)
    name = f"attachment; filename=tidegate-events.{form}"
    return StreamingResponse(
        body(first), media_type=EXPORTS[form], headers={"Content-Disposition": name}
    )
