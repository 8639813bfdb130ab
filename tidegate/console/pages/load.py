"""The page of load tests: start one, watch it, compare two, open the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console.load_test import LoadTest, scenarios
from tidegate.console.problems import Problems
from tidegate.console.series import RANGES, chart, keys_of, read_lines, replicas_chart
from tidegate.console.site import Page, Site
from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.runs import REPORT, ended_runs, is_run, read_summary
from tidegate.loadgen.report.summary import Summary
from tidegate.stack.snapshot import ARRIVALS, LATENCY

PAGE: Final = Page("load", "/load", "Load")
SECONDS: Final = 1.0
SPAN: Final = RANGES["5m"]
MAX_RUNS: Final = 50
CHARTS: Final = (
    chart("Requests per second", {"arriving": ARRIVALS}),
    chart("Latency p95", {"p95": LATENCY}, unit="s"),
    replicas_chart("desired", "ready"),
)
# A report has its own look, and pictures in it; it can run nothing.
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; sandbox"
)


class Run(NamedTuple):
    """A run by the name of its folder; `problem` says why its summary cannot be read."""

    name: str
    summary: Summary | None = None
    problem: str = ""


def read_runs(folder: Path) -> list[Run]:
    """The last runs, newest first."""
    return [_run(one) for one in ended_runs(folder)[:MAX_RUNS]]


def _run(folder: Path) -> Run:
    try:
        return Run(folder.name, read_summary(folder))
    except UsageError as error:
        return Run(folder.name, problem=str(error))


def choose(runs: Sequence[Run], name: str, other: str) -> list[Run]:
    """The runs with these names; without, the last one and the one before of the same scenario."""
    usable = {one.name: one.summary for one in runs if one.summary}
    if (first := name or next(iter(usable), "")) not in usable:
        return []
    scenario = usable[first].scenario
    older = (key for key, one in usable.items() if key < first and one.scenario == scenario)
    return [Run(key, usable[key]) for key in (first, other or next(older, "")) if key in usable]


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    settings, prometheus = site.sources.settings, site.sources.prometheus
    folder, test = settings.console.runs_dir, LoadTest(settings)

    async def read(pair: tuple[str, str]) -> dict[str, Any]:
        problems = Problems()
        recorded = partial(read_lines, prometheus, keys_of(CHARTS), SPAN, time.time())
        read = await problems.read(
            runs=site.live.get("runs", SECONDS, partial(asyncio.to_thread, read_runs, folder)),
            lines=site.live.get("recorded", SPAN.step, recorded),
        )
        return {
            "pair": pair,
            "test": test,
            "runs": read["runs"],
            "chosen": choose(read["runs"], *pair),
            "folder": folder,
            "scenarios": scenarios(),
            "charts": CHARTS,
            "problems": problems,
            "chart": {"lines": read["lines"], "limit": settings.slo.latency_seconds},
        }

    async def report(request: Request) -> Response:
        path = folder / request.path_params["name"]
        if not is_run(path) or not (path / REPORT).is_file():
            raise HTTPException(404, f"{path} has no {REPORT}")
        return FileResponse(path / REPORT, headers={"Content-Security-Policy": POLICY})

    async def change(asked: Mapping[str, str]) -> tuple[str, str] | None:
        if asked.get("do") == "stop":
            said = "a person stopped the load test in the console"
            return ("load", said) if await test.stop() else None
        await test.start(scenario := asked.get("scenario", ""))
        return "load", f"a person started a load test in the console: {scenario}"

    def pair_of(request: Request) -> tuple[str, str]:
        return request.query_params.get("run", ""), request.query_params.get("with", "")

    return [
        *site.live_page(PAGE, pair_of, read, SECONDS),
        *site.form(PAGE, "/load/test", change, partial(read, ("", ""))),
        Route("/load/{name}/report", report),
    ]
