"""Traces: by service, duration and outcome; one as a waterfall with its log lines; two side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console import event_view
from tidegate.console.problems import or_problem, refusal
from tidegate.console.search_request import Address
from tidegate.console.site import Page, Site
from tidegate.store.base import SearchRequest, StoreUnavailableError, Terms
from tidegate.store.query import time_ranges
from tidegate.store.query.literals import condition
from tidegate.store.search.traces import ROOTS, Trace
from tidegate.store.search.waterfall import span_of

PAGE: Final = Page("traces", "/traces", "Traces")
TRACE: Final = Page("trace", "/traces", "Trace")
SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Filters(Address):
    """What the address of the list says; `ms` is the shortest duration, `other` a trace to compare with."""

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
        return SearchRequest(
            " AND ".join(parts),
            since=time_ranges.when(self.since, now),
            stream="traces",
            sort="event.duration" if self.sort == "slowest" else "@timestamp",
            size=SIZE,
            aggregations={"services": Terms("service.name", 50)},
        )


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources, store = site.sources, site.sources.store

    async def show(request: Request) -> Response:
        filters = Filters.of(request.query_params)

        async def read() -> dict[str, Any]:
            asked = filters.request(datetime.now(UTC))
            # Any range and duration: it may take long.
            found = await sources.in_thread(lambda: store.search(asked))
            return {
                "total": found.total,
                "services": [one.key for one in found.aggregations.get("services", [])],
                "rows": [(event, span_of(event)) for event in found.hits],
            }

        return await site.render(PAGE, filters=filters, **await or_problem(read()))

    async def trace(request: Request) -> Response:
        ids = (request.path_params["id"], request.query_params.get("with", ""))

        async def read() -> dict[str, Any]:
            traces = await sources.in_thread(lambda: [Trace.read(store, one) for one in ids if one])
            return {"traces": traces, "status": 200 if traces[0].events else 404}

        values = await or_problem(read())
        return await site.render(TRACE, trace_id=ids[0], now=time.time(), **values)

    async def as_json(request: Request) -> Response:
        trace_id, span = request.path_params["id"], request.query_params.get("span", "")

        def written() -> str:
            found = Trace.read(store, trace_id).below(span)
            whole = {"trace_id": trace_id, "span_id": span or None, "events": found}
            return event_view.pretty(whole) if found else ""

        try:
            text = await sources.in_thread(written)
        except (ValueError, StoreUnavailableError) as error:
            return refusal(error)
        if text:
            return Response(text, media_type="application/json")
        return JSONResponse({"detail": "no stored event belongs to it"}, 404)

    return [
        Route(PAGE.path, show),
        Route("/traces/{id}.json", as_json),
        Route("/traces/{id}", trace),
    ]
