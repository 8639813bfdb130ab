"""The page of load tests: start one, watch it, compare two, open the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console.load_test import BOUNDS, LoadTest, scenarios
from tidegate.console.problems import Problems
from tidegate.console.series import RANGES, chart, keys_of, read_lines, replicas_chart
from tidegate.console.site import Page, Site
from tidegate.loadgen.errors import UsageError
from tidegate.loadgen.report.runs import REPORT, SERIES, ended_runs, is_run, read_summary
from tidegate.loadgen.report.summary import Summary, duration_text
from tidegate.stack.snapshot import ARRIVALS, LATENCY

PAGE: Final = Page("load", "/load", "Load")
SECONDS: Final = 1.0
SPAN: Final = RANGES["5m"]
MAX_RUNS: Final = 50
# A run of two hours with the shortest bins.
MAX_BINS: Final = 7200
CHARTS: Final = (
    chart("Requests per second", {"arriving": ARRIVALS}),
    chart("Latency p95", {"p95": LATENCY}, unit="s"),
    replicas_chart("desired", "ready"),
)
SINCE: Final = "since the start of the run"
COMPARED: Final = (
    chart(f"Latency p95 {SINCE}", {"p95": "p95"}, data="compared", unit="s", points=True),
    chart(f"Answers per second {SINCE}", {"answered": "answered"}, data="compared"),
)
# A report has its own look, and pictures in it; it can run nothing.
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; sandbox"
)


class Series(BaseModel):
    """What is compared of a run over time: rates per second and quantiles in seconds, by bin."""

    width: float = Field(ge=0.1, le=3600)
    answered: list[float | None] = Field(max_length=MAX_BINS)
    p95: list[float | None] = Field(max_length=MAX_BINS)


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


def choose(runs: Sequence[Run], name: str, other: str) -> dict[str, Summary]:
    """The runs with these names; without, the last one and the one before of the same scenario."""
    usable = {one.name: one.summary for one in runs if one.summary}
    if (first := name or next(iter(usable), "")) not in usable:
        return {}
    scenario = usable[first].scenario
    older = (key for key, one in usable.items() if key < first and one.scenario == scenario)
    return {key: usable[key] for key in (first, other or next(older, "")) if key in usable}


def compare(folder: Path, chosen: Mapping[str, Summary]) -> dict[str, Any]:
    """The charts of runs on one axis, in seconds since the start of each."""
    found: dict[str, Series] = {}
    points: list[dict[str, Any]] = []
    for number, (name, run) in enumerate(chosen.items(), 1):
        title = f"{number} {run.scenario}"
        # A run of an earlier version has none; `tidegate loadgen report` adds it.
        with suppress(OSError, ValueError):
            found[title] = Series.model_validate_json((folder / name / SERIES).read_bytes())
        points += (
            {
                "at": one.planned_seconds,
                "value": one.response_seconds,
                "text": f"{title}: {duration_text(one.response_seconds)}",
                "url": f"/traces/{one.trace_id}",
            }
            for one in run.slowest
            if one.trace_id
        )
    width = min((one.width for one in found.values()), default=1.0)
    end = max((one.width * len(one.p95) for one in found.values()), default=0.0)
    times = [(index + 0.5) * width for index in range(min(MAX_BINS, round(end / width)))]
    values = {
        f"{kind} {title}": [at_time(getattr(one, kind), at / one.width) for at in times]
        for title, one in found.items()
        for kind in ("answered", "p95")
    }
    limits = {run.slo_seconds for run in chosen.values()}
    return {
        "lines": {"times": times, "values": values} if found else None,
        "points": points,
        "limit": limits.pop() if len(limits) == 1 else None,
    }


def at_time(column: Sequence[float | None], place: float) -> float | None:
    """The value of the bin at a place."""
    return column[int(place)] if place < len(column) else None


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
        chosen = choose(read["runs"], *pair)
        compared = await asyncio.to_thread(compare, folder, chosen)
        limit = settings.slo.latency_seconds
        return {
            "pair": pair,
            "test": test,
            "runs": read["runs"],
            "chosen": [Run(*one) for one in chosen.items()],
            "folder": folder,
            "scenarios": scenarios(),
            "bounds": BOUNDS,
            "charts": CHARTS,
            "compared": COMPARED,
            "problems": problems,
            "chart": {"lines": read["lines"], "limit": limit, "compared": compared},
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
        return "load", f"a person started a load test in the console: {test.start(asked)}"

    def pair_of(request: Request) -> tuple[str, str]:
        return request.query_params.get("run", ""), request.query_params.get("with", "")

    return [
        *site.live_page(PAGE, pair_of, read, SECONDS),
        *site.form(PAGE, "/load/test", change),
        Route("/load/{name}/report", report),
    ]
