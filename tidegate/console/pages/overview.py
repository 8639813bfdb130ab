"""The Overview: whether the objective is kept, why there are this many replicas, and what is wrong."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from operator import attrgetter
from typing import Any, Final, TypeVar

from starlette.routing import BaseRoute

from tidegate.autoscaler.audit.intervals import QUERY, Interval
from tidegate.console import objective
from tidegate.console.event_view import request_of, seconds_of
from tidegate.console.pages.model import SHORTEST, Distribution, read_distributions
from tidegate.console.series import (
    RANGES,
    Range,
    chart,
    chosen_range,
    keys_of,
    read_lines,
    replicas_chart,
    selector,
)
from tidegate.console.site import Page, Site, milliseconds
from tidegate.console.sources import Problems, between
from tidegate.events.event import Event
from tidegate.observability_files.paths import observability_folder
from tidegate.rules.burn_rates import RATIO_WINDOWS
from tidegate.rules.drift_rules import min_rows
from tidegate.stack.snapshot import ARRIVALS, LATENCY, QUEUE
from tidegate.store.search.event_lines import text_of
from tidegate.store.search.waterfall import span_of

T = TypeVar("T")
PAGE: Final = Page("overview", "/", "Overview")
SECONDS: Final = 2.0
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
DRIFT_FEATURES: Final = 3
SLOWEST: Final = 8
CHANGES: Final = f"{QUERY} AND tidegate.decision.changed:true"
MAX_CHANGES: Final = 500
WHY_SECONDS: Final = 86_400.0


class Overview:
    """What the page reads. What costs a search is read every few seconds at most."""

    def __init__(self, site: Site) -> None:
        """Prepare it."""
        self._sources, self._live = site.sources, site.live
        self._settings = site.sources.settings
        self._requests = site.requests

    async def read(self, span: Range) -> dict[str, Any]:
        """What it shows of a range; all tabs share the rest."""
        problems, end = Problems(), span.until or time.time()
        begin = end - span.seconds

        def held(name: str, seconds: float, read: Callable[[], Awaitable[T]]) -> Awaitable[T]:
            return self._live.get((name, span), seconds, read)

        lines = partial(read_lines, self._sources.prometheus, keys_of(CHARTS), span, end)
        changes = partial(self.changes, begin, end)
        shown, columns, changed, slow = await asyncio.gather(
            self._live.get("overview", SECONDS / 2, self.now),
            # Faster would show nothing new, as the samples of a chart are a step apart.
            problems.of(held("lines", span.step / 5, lines), None),
            problems.of(held("changes", 5.0, changes), []),
            problems.of(held("slow", 10.0, partial(self._slowest, begin, end)), []),
        )
        chart = {
            "lines": columns,
            "limit": self._settings.slo.latency_seconds,
            "marks": changed[::-1],
            "points": [point(one) for one in slow if text_of(one, "trace.id")],
        }
        asked = {"span": span, "ranges": RANGES, "slow": slow, "charts": CHARTS, "chart": chart}
        return {**shown, **asked, "problems": shown["problems"] or problems.found}

    async def now(self) -> dict[str, Any]:
        """What every tab shows, whatever range its charts have."""
        problems, settings, prometheus = Problems(), self._settings, self._sources.prometheus
        now = time.time()
        last_changes = partial(self.changes, now - WHY_SECONDS, now, 3)
        current: Mapping[str, float]
        # At the same time, as each source that does not answer takes seconds.
        snapshot, current, mean_running, changes, drift = await asyncio.gather(
            problems.of(self._sources.snapshot(), None),
            problems.of(prometheus.values(selector(objective.NAMES)), {}),
            problems.of(self._live.get("cost", 15.0, self._mean_running), None),
            problems.of(self._live.get("changes", 5.0, last_changes), []),
            problems.of(self._live.get("drift", 15.0, self._drifted), []),
        )
        return {
            "snapshot": snapshot,
            "verdict": objective.verdict(settings.slo, current),
            "budgets": objective.budgets(settings.slo, current),
            "windows": RATIO_WINDOWS,
            "errors": current.get(objective.ERRORS_NOW),
            "names": {"arrivals": ARRIVALS, "latency": LATENCY, "queue": QUEUE},
            "mean_running": mean_running,
            "changes": changes,
            "drift": drift,
            "drift_rows": min_rows(SHORTEST, settings.drift),
            # A drift alert fires for each feature.
            "alerts": [
                list(same)
                for _, same in groupby(
                    snapshot.status.alerts if snapshot else (), attrgetter("name")
                )
            ],
            "runbooks": runbooks(),
            "settings": settings,
            "now": now,
            "problems": problems.found,
        }

    async def _mean_running(self) -> float:
        found = await self._sources.prometheus.query(MEAN_RUNNING)
        return found[0].samples[-1][1] if found else 0.0

    async def changes(
        self, begin: float, end: float, size: int = MAX_CHANGES
    ) -> list[dict[str, Any]]:
        """The last changes between two times as marks, newest first: whole events take much memory."""
        found = await self._sources.search(between(begin, end, CHANGES, size=size))
        decisions = (Interval(event, event) for event in found.hits)
        return [mark(one) for one in decisions if one.is_change]

    async def _drifted(self) -> list[Distribution]:
        warning = self._settings.drift.psi_warning
        found = await read_distributions(
            self._sources.prometheus, SHORTEST, warning, with_bins=False
        )
        return [one for one in found if one.psi is not None][:DRIFT_FEATURES]

    async def _slowest(self, begin: float, end: float) -> list[Event]:
        query = f"event.dataset:{self._requests}"
        request = between(begin, end, query, sort="event.duration", size=SLOWEST)
        found = (await self._sources.search(request)).hits
        # Those whose duration is no number are none of them.
        return [one for one in found if span_of(one).duration_ns]


@cache
def runbooks() -> Mapping[str, str]:
    """The text of each runbook by the name of its alert, in Markdown; empty where they are not installed."""
    path = observability_folder() / "grafana/dashboards/runbooks.json"  # as package data
    try:
        panels = json.loads(path.read_text(encoding="utf-8"))["panels"]
    except (OSError, ValueError):
        return {}
    return {one["title"]: one["options"]["content"] for one in panels if one["type"] == "text"}


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
    return site.live_page(PAGE, chosen_range, Overview(site).read, SECONDS)
