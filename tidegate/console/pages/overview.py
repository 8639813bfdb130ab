"""The Overview: whether the objective is kept, why there are this many replicas, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tidegate.autoscaler.audit.intervals import QUERY, Interval
from tidegate.console.event_view import request_of, seconds_of
from tidegate.console.pages.model import SHORTEST, read_distributions
from tidegate.console.problems import Problems
from tidegate.console.runbooks import rendered, runbooks
from tidegate.console.series import Range, chart, chosen_range, keys_of, read_lines, replicas_chart
from tidegate.console.site import Page, Site, milliseconds
from tidegate.console.sources import between
from tidegate.events.event import Event
from tidegate.rules.burn_rates import RATIO_WINDOWS
from tidegate.rules.drift_rules import min_rows
from tidegate.stack import objective
from tidegate.stack.snapshot import ARRIVALS, HEADLINE, LATENCY, QUEUE, current_values
from tidegate.stack.supervisor.status import FiringAlert
from tidegate.store.search.event_lines import text_of
from tidegate.store.search.waterfall import span_of

PAGE: Final = Page("overview", "/", "Overview")
RUNBOOK: Final = Page("runbook", "/", "Runbook")
SECONDS: Final = 2.0
# What alerts are about, by how their names begin; another one is about itself.
SUBJECTS: Final = {
    "the service": ("Service", "Gateway", "Replica", "Autoscaler"),
    "the model": ("Model", "Drift", "Watch"),
    "the events": ("Collector", "Logstash", "Elasticsearch", "FailureStore"),
}
CHARTS: Final = (
    chart(
        "Requests per second",
        {"arriving": ARRIVALS, "answered by replicas": "service:completed_rate:15s"},
    ),
    chart(
        "Latency",
        {f"p{one}": f"service:latency_seconds_p{one}:15s" for one in (50, 95, 99)},
        unit="s",
        points=True,
    ),
    chart("Errors", {f"of the answers in {RATIO_WINDOWS[0]}": objective.ERRORS_NOW}, unit="%"),
    chart("Requests in the system", {"queued": QUEUE, "in processing": "service:slots_busy:now"}),
    replicas_chart("desired", "running", "ready", marks=True),
)
MEAN_RUNNING: Final = 'max(avg_over_time(tidegate_replicas{job="autoscaler",state="running"}[1h]))'
VALUES: Final = (*HEADLINE, *objective.NAMES)
UNKNOWN: Final = objective.Verdict("", "unknown", "Prometheus does not answer")
SLOWEST: Final = 8
CHANGES: Final = f"{QUERY} AND tidegate.decision.changed:true"
MAX_CHANGES: Final = 500
LAST_CHANGES: Final = 3
DAY_SECONDS: Final = 86_400.0


def incidents(alerts: Sequence[FiringAlert]) -> Mapping[str, Sequence[FiringAlert]]:
    """The alerts by what they are about, each in their order: one cause lets several fire."""
    found: dict[str, list[FiringAlert]] = {}
    for one in alerts:
        subject = next((key for key, begins in SUBJECTS.items() if one.name.startswith(begins)), "")
        found.setdefault(subject or one.name, []).append(one)
    return found


def mark(change: Interval) -> dict[str, Any]:
    """A decision as a mark on the time axis; it is up with more replicas, or as many with more slots."""
    before, after = (
        [one if isinstance(one, int | float) else 0 for one in size] for size in change.sizes
    )
    return {
        "at": seconds_of(change.last),
        "up": after > before,
        "reason": change.reason,
        "label": change.step,
        "text": change.sentence,
    }


def point(event: Event) -> dict[str, Any]:
    """A request as a point of the latency that leads to its trace."""
    seconds, trace = span_of(event).duration_ns / 1e9, text_of(event, "trace.id")
    text = f"{request_of(event)}: {milliseconds(seconds)}"
    return {"at": seconds_of(event), "value": seconds, "text": text, "url": f"/traces/{trace}"}


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    sources, settings, prometheus = site.sources, site.sources.settings, site.sources.prometheus

    async def changes(begin: float, end: float, size: int) -> list[dict[str, Any]]:
        """The last changes between two times as marks, newest first: whole events take much memory."""
        found = await sources.search(between(begin, end, CHANGES, size=size))
        decisions = (Interval(event, event) for event in found.hits)
        return [mark(one) for one in decisions if one.is_change]

    async def slowest(begin: float, end: float) -> list[Event]:
        query = f"event.dataset:{site.requests}"
        asked = between(begin, end, query, sort="event.duration", size=SLOWEST)
        # Those whose duration is no number are none of them.
        return [one for one in (await sources.search(asked)).hits if span_of(one).duration_ns]

    async def read(span: Range) -> dict[str, Any]:
        """What it shows; what costs a search is read every few seconds at most."""
        problems, now = Problems(), time.time()
        end = span.until or now
        begin = end - span.seconds
        held = site.live.get
        last = partial(changes, now - DAY_SECONDS, now, LAST_CHANGES)
        drifts = partial(read_distributions, prometheus, SHORTEST, settings.drift.psi_warning)
        recorded = partial(read_lines, prometheus, keys_of(CHARTS), span, end)
        # All tabs share what has no range.
        found = await problems.read(
            stack=held("stack", SECONDS / 2, sources.status),
            values=held("values", SECONDS / 2, partial(current_values, prometheus, VALUES)),
            running=held("cost", 15.0, partial(prometheus.query, MEAN_RUNNING)),
            why=held("why", 5.0, last),
            drift=held("drift", 15.0, drifts),
            # Faster would show nothing new, as the samples of a chart are a step apart.
            lines=held(("lines", span), span.step / 5, recorded),
            changes=held(("changes", span), 5.0, partial(changes, begin, end, MAX_CHANGES)),
            slow=held(("slow", span), 10.0, partial(slowest, begin, end)),
        )
        values, slow = found["values"], found["slow"] or ()
        return {
            **found,
            "values": values or {},
            "verdict": UNKNOWN if values is None else objective.verdict(settings.slo, values),
            "budgets": () if values is None else objective.budgets(settings.slo, values),
            "errors": (values or {}).get(objective.ERRORS_NOW),
            "window": RATIO_WINDOWS[0],
            "burns": [f"#Burn {window}" for window in RATIO_WINDOWS],
            "names": {"arrivals": ARRIVALS, "latency": LATENCY, "queue": QUEUE},
            "drift_rows": min_rows(SHORTEST, settings.drift),
            "incidents": incidents(found["stack"].alerts if found["stack"] else ()),
            "runbooks": runbooks(),
            "now": now,
            "span": span,
            "charts": CHARTS,
            "problems": problems,
            "chart": {
                "lines": found["lines"],
                "limit": settings.slo.latency_seconds,
                "marks": (found["changes"] or [])[::-1],
                "points": [point(one) for one in slow if text_of(one, "trace.id")],
            },
        }

    async def runbook(request: Request) -> Response:
        if (name := request.path_params["name"]) not in runbooks():
            raise HTTPException(404, f"there is no runbook {name}")
        # That of a stack without a supervisor has an address which no browser can reach.
        text = rendered(runbooks()[name], prometheus.url if sources.supervised else "")
        return await site.render(RUNBOOK, name=name, text=text)

    return [
        *site.live_page(PAGE, chosen_range, read, SECONDS),
        Route("/runbooks/{name}", runbook),
    ]
