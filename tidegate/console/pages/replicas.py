"""The page of replicas: the processor time and memory of each, and the application's own metrics."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Sequence
from typing import Any, Final

from starlette.routing import BaseRoute

from tidegate.console.problems import Problems
from tidegate.console.series import Range, chart, chosen_range, read_queries
from tidegate.console.site import Page, Site
from tidegate.runtime.prometheus import Prometheus

PAGE: Final = Page("replicas", "/replicas", "Replicas")
SECONDS: Final = 5.0
JOB: Final = '{job="model"}'
USAGE: Final = {
    "cpu": f"sum by (instance, pod, replica) (rate(process_cpu_seconds_total{JOB}[1m]))",
    "memory": f"sum by (instance, pod, replica) (process_resident_memory_bytes{JOB})",
}
USAGE_CHARTS: Final = (
    chart("CPU of each replica, of one processor", {"": "cpu"}, unit="%"),
    chart("Memory of each replica", {"": "memory"}, unit="B"),
)
# What each replica has without the application, and what the other pages show.
OURS: Final = (
    "(tidegate|ml|http_server|scrape)_.*|up|target_info|.*_created"
    "|process_(cpu|max|open|resident|start|virtual)_.*|python_(gc_.*|info)"
)
UNITS: Final = {"_seconds": "s", "_bytes": "B"}
MAX_OWN: Final = 12
# At each time; a chart has those that are among them at any time, up to a number.
MAX_LINES: Final = 8


async def own_names(prometheus: Prometheus) -> list[str]:
    """The names of the application's own series, in order.

    Raises:
        HttpError: Prometheus does not answer.
    """
    names = f'count by (__name__) ({{job="model", __name__!~"{OURS}"}})'
    return sorted({one.labels["__name__"] for one in await prometheus.query(names)})


def own_charts(names: Collection[str]) -> dict[str, tuple[dict[str, Any], str]]:
    """The chart and the query of each metric by its name.

    They show a counter's rate and a histogram's p95 of all replicas together, and each replica's value of
    another one.
    """
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for name in names:
        whole, _, part = name.rpartition("_")
        series = f'{{__name__={json.dumps(name)},job="model"}}'
        rate = f"sum without (instance, pod, replica) (rate({series}[1m]))"
        if part in {"sum", "count"} and {f"{whole}_bucket", whole} & set(names):
            continue
        title, query = {
            "bucket": (f"{whole}, p95 of a minute", f"histogram_quantile(0.95, {rate})"),
            "total": (f"{whole} per second", rate),
        }.get(part, (name, series))
        units = (unit for word, unit in UNITS.items() if word in name and part != "total")
        found[name] = (
            chart(title, {"": name}, unit=next(units, None)),
            f"topk({MAX_LINES}, {query})",
        )
    return found


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    prometheus = site.sources.prometheus

    async def read(span: Range) -> dict[str, Any]:
        problems = Problems()
        names = (await problems.read(names=own_names(prometheus)))["names"] or ()
        own = list(own_charts(names).items())
        queries = {**USAGE, **{name: query for name, (_, query) in own[:MAX_OWN]}}
        lines = read_queries(prometheus, queries, span, span.until or time.time())
        return {
            "usage": USAGE_CHARTS,
            "own": [one for _, (one, _) in own[:MAX_OWN]],
            "more": [name for name, _ in own[MAX_OWN:]],
            "span": span,
            "problems": problems,
            "chart": await problems.read(lines=lines),
        }

    return site.live_page(PAGE, chosen_range, read, SECONDS)
