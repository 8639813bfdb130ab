"""The page of load tests: start one, watch it, compare two, open the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console import runs
from tidegate.console.load_test import MAX_RATE, MAX_SECONDS, LoadTest, RefusedError, scenarios
from tidegate.console.runs import REPORT, Pair
from tidegate.console.series import RANGES, chart, keys_of, read_lines, replicas_chart
from tidegate.console.site import Page, Site, read_form
from tidegate.console.sources import Problems
from tidegate.stack.snapshot import ARRIVALS, LATENCY

PAGE: Final = Page("load", "/load", "Load")
SECONDS: Final = 1.0
SPAN: Final = RANGES["5m"]
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


class Load:
    """The page."""

    def __init__(self, site: Site) -> None:
        """Prepare it; nothing runs."""
        self._site = site
        self._settings = site.sources.settings
        self._folder = self._settings.console.runs_dir
        self._test = LoadTest(self._settings)

    async def read(self, pair: Pair) -> dict[str, Any]:
        """What it shows of two runs; all tabs share the rest."""
        problems, live, prometheus = Problems(), self._site.live, self._site.sources.prometheus
        recorded = partial(read_lines, prometheus, keys_of(CHARTS), SPAN, time.time())
        found, lines = await asyncio.gather(
            live.get("runs", SECONDS, partial(asyncio.to_thread, runs.read_runs, self._folder)),
            problems.of(live.get("recorded", SPAN.step, recorded), None),
        )
        chosen = runs.choose(found, pair)
        compared = await asyncio.to_thread(runs.read_lines, self._folder, chosen)
        return {
            "pair": pair,
            "test": self._test,
            "runs": found,
            "chosen": chosen,
            "folder": self._folder,
            "scenarios": scenarios(),
            "bounds": (MAX_RATE, MAX_SECONDS),
            "charts": CHARTS,
            "compared": COMPARED,
            "problems": problems.found,
            "chart": {
                "lines": lines,
                "limit": self._settings.slo.latency_seconds,
                "compared": {
                    "lines": compared,
                    "points": runs.points(chosen),
                    "limit": runs.objective(chosen),
                },
            },
        }

    async def report(self, request: Request) -> Response:
        """The report of a run, as the load generator wrote it."""
        path = self._folder / request.path_params["name"]
        if not runs.is_run(path) or not (path / REPORT).is_file():
            raise HTTPException(404, f"{path} has no {REPORT}")
        return FileResponse(path / REPORT, headers={"Content-Security-Policy": POLICY})

    async def change(self, request: Request) -> Response:
        """Start a load test, or stop the one that runs; the event says that it was done here."""
        fields = await read_form(request)
        if fields.get("do") == "stop":
            if not await self._test.stop():
                return RedirectResponse(PAGE.path, 303)
            return self._changed("a person stopped the load test in the console")
        asked = (fields.get(name, "") for name in ("scenario", "rate", "seconds", "path", "body"))
        try:
            words = self._test.start(*asked)
        except (RefusedError, OSError) as error:
            return PlainTextResponse(f"no load test was started: {error}", 422)
        return self._changed(f"a person started a load test in the console: {words}")

    def _changed(self, words: str) -> Response:
        return self._site.changed(PAGE, "load", words)


def _pair(request: Request) -> Pair:
    return Pair(*(request.query_params.get(name, "") for name in ("run", "with")))


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    page = Load(site)
    found = site.live_page(PAGE, _pair, page.read, SECONDS)
    found.append(Route("/load/{name}/report", page.report))
    if site.sources.settings.console.control:
        found.append(Route("/load/test", page.change, methods=["POST"]))
    return found
