"""Traces: by service, duration and outcome; one as a waterfall with its log lines; two side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console import event_view
from tidegate.console.event_view import tone
from tidegate.console.results import or_problem, problem_of
from tidegate.console.search_request import Address
from tidegate.console.series import RANGES
from tidegate.console.site import Page, Site
from tidegate.store.base import SearchRequest, StoreUnavailableError, Terms
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search.event_lines import value_of
from tidegate.store.search.traces import ROOTS, Trace
from tidegate.store.search.waterfall import span_of

PAGE: Final = Page("traces", "/traces", "Traces")
TRACE: Final = Page("trace", "/traces", "Trace")
SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Filters(Address):
    """What the address of the list says; `ms` is the shortest duration, `with` a trace to compare with."""

    PATH = "/traces"
    service: str = ""
    outcome: str = ""
    ms: str = ""
    since: str = "1h"
    sort: str = "newest"
    other: str = ""

    def request(self, now: datetime) -> SearchRequest:
        """Return it as a request to the store.

        Raises:
            ValueError: A time or the duration is invalid.
        """
        named = {"service.name": self.service, "event.outcome": self.outcome}
        parts = [ROOTS, *(condition(name, value) for name, value in named.items() if value)]
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
            aggregations={"services": Terms("service.name", 50)},
        )


def outcome(trace: Trace) -> str:
    """As in the list of traces: a request that answered has not failed, whatever failed inside."""
    if any(value_of(event, "event.outcome") == "failure" for event in trace.roots or trace.events):
        return "failure"
    warned = any(span.failed for _, span in trace.spans) or any(map(tone, trace.events))
    return "warning" if warned else "success"


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""

    async def show(request: Request) -> Response:
        return await _list(site, Filters.of(request.query_params))

    async def trace(request: Request) -> Response:
        return await _trace(site, request.path_params["id"], request.query_params.get("with", ""))

    async def as_json(request: Request) -> Response:
        trace_id, span = request.path_params["id"], request.query_params.get("span", "")

        def written() -> str:
            found = Trace.read(site.sources.store, trace_id).below(span)
            whole = {"trace_id": trace_id, "span_id": span or None, "events": found}
            return event_view.pretty(whole) if found else ""

        try:
            # A trace has up to 10,000 events: too many for the event loop.
            text = await site.sources.in_thread(written)
        except (ValueError, StoreUnavailableError) as error:
            return JSONResponse({"detail": str(error)}, problem_of(error).status)
        if text:
            return Response(text, media_type="application/json")
        return JSONResponse({"detail": "no stored event belongs to it"}, 404)

    return [
        Route(PAGE.path, show),
        Route("/traces/{id}.json", as_json),
        Route("/traces/{id}", trace),
    ]


async def _list(site: Site, filters: Filters) -> Response:
    async def read() -> dict[str, Any]:
        request = filters.request(datetime.now(UTC))
        # Any range and duration: it may take long.
        found = await site.sources.in_thread(lambda: site.sources.store.search(request))
        return {
            "total": found.total,
            "services": [one.key for one in found.aggregations.get("services", [])],
            "rows": [(event, span_of(event)) for event in found.hits],
        }

    return site.render(
        PAGE,
        filters=filters,
        ranges=RANGES,
        sample_ratio=site.sources.settings.telemetry.sample_ratio,
        **await or_problem(read()),
    )


async def _trace(site: Site, trace_id: str, other_id: str) -> Response:
    def read() -> list[Trace]:
        return [Trace.read(site.sources.store, one) for one in (trace_id, other_id) if one]

    async def reading() -> dict[str, Any]:
        traces = await site.sources.in_thread(read)
        return {"traces": traces, "status": 200 if traces[0].events else 404}

    values = await or_problem(reading())
    ratio = site.sources.settings.telemetry.sample_ratio
    # Its up to 10,000 events are too many for the event loop.
    return await asyncio.to_thread(
        site.render,
        TRACE,
        trace_id=trace_id,
        now=time.time(),
        outcome=outcome,
        sample_ratio=ratio,
        **values,
    )
