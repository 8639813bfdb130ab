"""Traces: by service, duration and outcome; one as a waterfall with its log lines; two side by side."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console import event_view, trace_view
from tidegate.console.results import problem_of
from tidegate.console.search_request import RANGES, Address, Wanted
from tidegate.console.site import Page, Site, clock
from tidegate.events.event import Event
from tidegate.store.base import (
    Bucket,
    SearchRequest,
    SearchResult,
    StoreUnavailableError,
    Terms,
)
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search import waterfall
from tidegate.store.search.event_lines import text_of, time_of, value_of

PAGE: Final = Page("traces", "/traces", "Traces")
TRACE: Final = Page("trace", "/traces", "Trace")
SIZE: Final = 100
# From a trace to the end of its charts.
CHARTS_SECONDS: Final = 300
_ID: Final = re.compile(r"[0-9a-f]{32}")
_SERVICES: Final = Terms("service.name", 50)


@dataclass(frozen=True, slots=True)
class Filters(Address):
    """What the address of the list says; `ms` is the shortest duration, `with` a trace to compare with."""

    service: str = ""
    outcome: str = ""
    ms: str = ""
    since: str = "1h"
    sort: str = "newest"
    other: str = ""

    def url(self, **changes: str) -> str:
        """Return the address of the list with changes."""
        return self.at(PAGE.path, **changes)

    def request(self, now: datetime) -> SearchRequest:
        """Return it as a request to the store.

        Raises:
            ValueError: A time or the duration is invalid.
        """
        parts = [trace_view.ROOTS]
        if self.service:
            parts.append(condition("service.name", self.service))
        if self.outcome:
            parts.append(condition("event.outcome", self.outcome))
        if self.ms:
            try:
                parts.append(f"event.duration:>={round(float(self.ms) * 1e6)}")
            except (ValueError, OverflowError) as error:
                raise ValueError(f"{self.ms!r} is not a number of milliseconds") from error
        slowest = self.sort == "slowest"
        return SearchRequest(
            " AND ".join(parts),
            since=time_ranges.when(self.since, now),
            stream="traces",
            sort="event.duration" if slowest else "@timestamp",
            size=SIZE,
            aggregations={"services": _SERVICES},
        )


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""

    async def show(request: Request) -> Response:
        return await _list(site, Filters.of(request.query_params))

    async def trace(request: Request) -> Response:
        return await _trace(site, request.path_params["id"], request.query_params.get("with", ""))

    async def as_json(request: Request) -> Response:
        trace_id, span = request.path_params["id"], request.query_params.get("span", "")
        try:
            events, _ = await _events(site, trace_id)
        except (ValueError, StoreUnavailableError) as error:
            return JSONResponse({"detail": str(error)}, problem_of(error).status)

        def written() -> str:
            found = trace_view.subtree(events, span)
            whole = {"trace_id": trace_id, "span_id": span or None, "events": found}
            return event_view.pretty(whole) if found else ""

        # A trace has up to 10,000 events: too many for the event loop.
        if text := await site.sources.in_thread(written):
            return Response(text, media_type="application/json")
        return JSONResponse({"detail": "no stored event belongs to it"}, 404)

    return [
        Route(PAGE.path, show),
        Route("/traces/{id}.json", as_json),
        Route("/traces/{id}", trace),
    ]


async def _list(site: Site, filters: Filters) -> Response:
    problem, status = "", 200
    found = SearchResult(0, [], {})
    try:
        request = filters.request(datetime.now(UTC))
        # Any range and duration: it may take long.
        found = await site.sources.in_thread(lambda: site.sources.store.search(request))
    except (ValueError, StoreUnavailableError) as error:
        problem, status = str(error), problem_of(error).status
    services = found.aggregations.get("services", [])
    longest = max((_duration(event) for event in found.hits), default=0) or 1
    rows = [
        {
            "line": event_view.line(event, ("service.name", "service.node.name")),
            "name": waterfall.span_of(event).name,
            "duration": waterfall.duration(_duration(event)),
            "part": _duration(event) / longest,
            "failed": value_of(event, "event.outcome") == "failure",
            "status": text_of(event, "http.response.status_code"),
        }
        for event in found.hits
    ]
    return site.render(
        PAGE,
        status=status,
        filters=filters,
        ranges=RANGES,
        services=[str(one.key) for one in services if isinstance(one, Bucket)],
        total=found.total,
        rows=rows,
        problem=problem,
        sample_ratio=site.sources.settings.telemetry.sample_ratio,
    )


async def _trace(site: Site, trace_id: str, other_id: str) -> Response:
    found: list[tuple[str, list[Event], int]] = []
    problem, status = "", 200
    try:
        found = [(one.lower(), *await _events(site, one)) for one in (trace_id, other_id) if one]
    except (ValueError, StoreUnavailableError) as error:
        problem, status = str(error), problem_of(error).status
    if found and not found[0][1]:
        status = 404

    def render() -> Response:
        # Two traces have one scale.
        scale = max((trace_view.whole_ns(events) for _, events, _ in found), default=0)
        sides = [
            (one, trace_view.trace_of(one, events, others, scale) if events else None)
            for one, events, others in found
        ]
        return site.render(
            TRACE,
            status=status,
            sides=sides,
            problem=problem,
            trace_id=trace_id,
            compare=Filters(other=trace_id).url(),
            charts={one: _charts(events) for one, events, _ in found if events},
            searches={one: Wanted(q=f"trace.id:{one}", since="7d").url() for one, _ in sides},
            sample_ratio=site.sources.settings.telemetry.sample_ratio,
        )

    return await site.sources.in_thread(render)


async def _events(site: Site, trace_id: str) -> tuple[list[Event], int]:
    """The events of a trace.

    Raises:
        ValueError: It is no id of a trace.
        StoreUnavailableError: The store cannot be searched now.
    """
    wanted = trace_id.strip().lower()
    if not _ID.fullmatch(wanted):
        raise ValueError(f"{trace_id!r} is not a trace id: it must have 32 hexadecimal digits")
    store = site.sources.store
    return await site.sources.in_thread(lambda: trace_view.events_of(store, wanted))


def _charts(events: Sequence[Event]) -> str:
    """The address of the charts around the begin of a trace."""
    at = min(time.time(), (time_of(events[0]) or 0) / 1e6 + CHARTS_SECONDS)
    return f"/?{urlencode({'until': clock(at)})}"


def _duration(event: Event) -> int:
    return waterfall.span_of(event).duration_ns
