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

from tidegate.console.forms import read_form
from tidegate.console.load_test import (
    MAX_RATE,
    MAX_SECONDS,
    LoadTest,
    RefusedError,
    scenarios,
)
from tidegate.console.problems import Problems
from tidegate.console.runs import (
    REPORT,
    Pair,
    choose,
    figures,
    is_run,
    objective,
    points,
    read_lines,
    read_runs,
)
from tidegate.console.series import RANGES, Line
from tidegate.console.series import read_lines as read_recorded
from tidegate.console.site import Page, Site
from tidegate.stack.snapshot import ARRIVALS

PAGE: Final = Page("load", "/load", "Load")
SECONDS: Final = 1.0
SPAN: Final = RANGES[0]
LINES: Final = (
    Line(ARRIVALS),
    Line("service:latency_seconds_p95:15s"),
    *(Line("tidegate_replicas", "state", one) for one in ("desired", "ready")),
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
        problems, held, prometheus = Problems(), self._site.held, self._site.sources.prometheus
        recorded = partial(read_recorded, prometheus, LINES, SPAN, time.time())
        runs, lines = await asyncio.gather(
            held.get("runs", SECONDS, partial(asyncio.to_thread, read_runs, self._folder)),
            problems.of(held.get("recorded", SPAN.step, recorded), None),
        )
        chosen = choose(runs, pair)
        compared = await asyncio.to_thread(read_lines, self._folder, chosen)
        return {
            "pair": pair,
            "limit": self._settings.slo.latency_seconds,
            "test": self._test,
            "runs": runs,
            "chosen": chosen,
            "figures": figures(chosen),
            "folder": self._folder,
            "scenarios": scenarios(),
            "bounds": (MAX_RATE, MAX_SECONDS),
            "problems": problems.found,
            "chart": {
                "lines": lines,
                "compared": {
                    "lines": compared,
                    "points": points(chosen),
                    "limit": objective(chosen),
                },
            },
        }

    async def report(self, request: Request) -> Response:
        """The report of a run, as the load generator wrote it."""
        path = self._folder / request.path_params["name"]
        if not is_run(path) or not (path / REPORT).is_file():
            raise HTTPException(404, f"{path} has no {REPORT}")
        return FileResponse(path / REPORT, headers={"Content-Security-Policy": POLICY})

    async def change(self, request: Request) -> Response:
        """Start a load test, or stop the one that runs; the event says that it was done here."""
        fields, record = await read_form(request), self._site.event_log.record
        if fields.get("do") == "stop":
            if await self._test.stop():
                record("load", "a person stopped the load test in the console")
            return RedirectResponse(PAGE.path, 303)
        asked = (fields.get(name, "") for name in ("scenario", "rate", "seconds", "path", "body"))
        try:
            words = self._test.start(*asked)
        except (RefusedError, OSError) as error:
            return PlainTextResponse(f"no load test was started: {error}", 422)
        record("load", f"a person started a load test in the console: {words}")
        return RedirectResponse(PAGE.path, 303)


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
