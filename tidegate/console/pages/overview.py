"""The Overview: whether the objective is kept, why there are this many replicas, and what is wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute

from tidegate.console import objective
from tidegate.console.decisions import Change, read_changes, seconds_of
from tidegate.console.distributions import WINDOWS, Distribution, read_distributions
from tidegate.console.live import Held
from tidegate.console.problems import Problems
from tidegate.console.runbooks import runbooks
from tidegate.console.series import DEFAULT, RANGES, Line, Range, chosen_range, read_lines, read_now
from tidegate.console.site import Page, Site
from tidegate.events.event import Event
from tidegate.rules.drift_rules import min_rows
from tidegate.stack.snapshot import ARRIVALS, LATENCY, QUEUE
from tidegate.stack.supervisor.status import FiringAlert
from tidegate.store.base import SearchRequest
from tidegate.store.search.event_lines import text_of, value_of
from tidegate.terminal.status_view import duration

PAGE: Final = Page("overview", "/", "Overview")
BLOCKS: Final = ("state", "notices", "tiles", "why", "budget", "slow", "model", "parts")
SECONDS: Final = 2.0
STATES: Final = tuple(
    Line("tidegate_replicas", "state", one) for one in ("desired", "running", "ready")
)
CHART_LINES: Final = (
    Line(ARRIVALS),
    Line("service:completed_rate:15s"),
    *(Line(f"service:latency_seconds_p{one}:15s") for one in (50, 95, 99)),
    Line("service:error_ratio:5m"),
    Line(QUEUE),
    Line("service:slots_busy:now"),
    *STATES,
)
MEAN_RUNNING: Final = 'max(avg_over_time(tidegate_replicas{job="autoscaler",state="running"}[1h]))'
DRIFT_FEATURES: Final = 3
SLOW_MINUTES: Final = 15
SLOW: Final = SearchRequest(sort="event.duration", size=8)
WHY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class SlowRequest:
    """One of the slowest requests: times in seconds, and the version of the model that answered."""

    at: float
    trace: str
    path: str
    seconds: float
    queued: float
    status: str
    version: str


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """The firing alerts of one name: its severity, and the summary of each."""

    name: str
    severity: str
    summaries: list[str]


class Overview:
    """What the page reads. What costs a search is read every few seconds at most."""

    def __init__(self, site: Site) -> None:
        """Prepare it."""
        self._sources = site.sources
        self._slo = site.sources.settings.slo
        self._requests = site.requests
        self._slow: Held[list[SlowRequest]] = Held(10.0)
        self._drift: Held[list[Distribution]] = Held(15.0)
        self._cost: Held[float] = Held(15.0)
        # Faster would show nothing new, as the samples of a chart are a step apart.
        self._lines = {one.name: Held[dict[str, Any]](one.step / 5) for one in RANGES}
        self._changes: dict[str, Held[list[Change]]] = {one.name: Held(5.0) for one in RANGES}
        self._last: Held[list[Change]] = Held(5.0)

    async def values(self) -> dict[str, Any]:
        """The values of the template."""
        problems, now = Problems(), time.time()
        settings, prometheus = self._sources.settings, self._sources.prometheus
        current: Mapping[str, float]
        # At the same time, as each source that does not answer takes seconds.
        snapshot, current, mean_running, changes, slow, drift = await asyncio.gather(
            problems.of(self._sources.snapshot(), None),
            problems.of(read_now(prometheus, objective.LINES), {}),
            problems.of(self._cost.get(self._mean_running), None),
            problems.of(self._last.get(self._last_changes), []),
            problems.of(self._slow.get(self._slowest), []),
            problems.of(self._drift.get(self._drifted), []),
        )
        return {
            "snapshot": snapshot,
            "verdict": objective.verdict(self._slo, current),
            "budgets": objective.budgets(self._slo, current),
            "windows": objective.WINDOWS,
            "errors": current.get("service:error_ratio:5m"),
            "names": {"arrivals": ARRIVALS, "latency": LATENCY, "queue": QUEUE},
            "mean_running": mean_running,
            "changes": changes,
            "slow": slow,
            "slow_minutes": SLOW_MINUTES,
            "drift": drift,
            "drift_warning": settings.drift.psi_warning,
            "drift_rows": min_rows(WINDOWS[0], settings.drift),
            "alerts": _grouped(snapshot.status.alerts) if snapshot else [],
            "runbooks": runbooks(),
            "settings": settings,
            "now": now,
            "problems": problems.found,
        }

    async def chart(self, span: Range) -> dict[str, Any]:
        """The lines and marks of the charts."""
        problems, now = Problems(), time.time()
        read = partial(read_lines, self._sources.prometheus, CHART_LINES, span, now)
        lines = await problems.of(self._lines[span.name].get(read), None)
        changes: list[Change] = await problems.of(
            self._changes[span.name].get(partial(read_changes, self._sources, now - span.seconds)),
            [],
        )
        return {"lines": lines, "marks": [one.mark() for one in reversed(changes)]}

    async def _mean_running(self) -> float:
        found = await self._sources.prometheus.query(MEAN_RUNNING)
        return found[0].samples[-1][1] if found else 0.0

    async def _last_changes(self) -> list[Change]:
        return await read_changes(self._sources, time.time() - WHY_SECONDS, size=3)

    async def _drifted(self) -> list[Distribution]:
        warning = self._sources.settings.drift.psi_warning
        found = await read_distributions(
            self._sources.prometheus, WINDOWS[0], warning, with_bins=False
        )
        return [one for one in found if one.psi is not None][:DRIFT_FEATURES]

    async def _slowest(self) -> list[SlowRequest]:
        since = datetime.now(UTC) - timedelta(minutes=SLOW_MINUTES)
        request = replace(SLOW, query=f"event.dataset:{self._requests}", since=since)
        found = map(_slow, (await self._sources.search(request)).hits)
        return [one for one in found if one.seconds]  # without those whose duration is no number


def _grouped(alerts: Sequence[FiringAlert]) -> list[AlertGroup]:
    """The alerts by name, in their order: a drift alert fires for each feature."""
    found: dict[str, AlertGroup] = {}
    for one in alerts:
        group = found.setdefault(one.name, AlertGroup(one.name, one.severity, []))
        group.summaries.append(one.summary)
    return list(found.values())


def _slow(event: Event) -> SlowRequest:
    def seconds(field: str) -> float:
        value = value_of(event, field)
        return value / 1e9 if isinstance(value, int | float) else 0.0

    return SlowRequest(
        at=seconds_of(event),
        trace=text_of(event, "trace.id"),
        path=f"{text_of(event, 'http.request.method')} {text_of(event, 'url.path')}",
        seconds=seconds("event.duration"),
        queued=seconds("tidegate.queue_ns") or seconds("tidegate.gateway.queue_ns"),
        status=text_of(event, "http.response.status_code"),
        version=text_of(event, "tidegate.model.version"),
    )


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    overview = Overview(site)
    # All tabs share the values, whatever range their charts have.
    held: Held[dict[str, Any]] = Held(SECONDS / 2)
    site.templates.filters["duration"] = duration

    async def read(span: Range) -> Mapping[str, Any]:
        values, chart = await asyncio.gather(held.get(overview.values), overview.chart(span))
        blocks = site.blocks(PAGE, BLOCKS, **values)
        return {"blocks": blocks, "problems": values["problems"], "chart": chart}

    async def show(span: Range) -> Response:
        values = await held.get(overview.values)
        return site.render(PAGE, span=span, ranges=RANGES, default=DEFAULT, **values)

    return site.live_page(PAGE, chosen_range, show, read, SECONDS)
