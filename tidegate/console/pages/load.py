"""The page of load tests: start one, watch it, compare two, open the report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from tidegate.console.forms import read_form
from tidegate.console.live import Held
from tidegate.console.load_test import (
    MAX_RATE,
    MAX_SECONDS,
    LoadTest,
    RefusedError,
    scenarios,
)
from tidegate.console.problems import Problems
from tidegate.console.runs import REPORT, Pair, Run, choose, figures, is_run, read_lines, read_runs
from tidegate.console.series import RANGES, Line
from tidegate.console.series import read_lines as read_recorded
from tidegate.console.site import Page, Site
from tidegate.stack.snapshot import ARRIVALS

PAGE: Final = Page("load", "/load", "Load")
BLOCKS: Final = ("now", "compared", "runs")
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
        # All tabs share them, whatever they compare.
        self._runs: Held[list[Run]] = Held(SECONDS)
        self._recorded: Held[dict[str, Any]] = Held(SPAN.step)

    async def _values(self, pair: Pair) -> dict[str, Any]:
        runs = await self._runs.get(partial(asyncio.to_thread, read_runs, self._folder))
        chosen = choose(runs, pair)
        return {
            "test": self._test,
            "runs": runs,
            "chosen": chosen,
            "figures": figures(chosen),
            "folder": self._folder,
            "scenarios": scenarios(),
            "bounds": (MAX_RATE, MAX_SECONDS),
        }

    async def read(self, pair: Pair) -> Mapping[str, Any]:
        """What an update shows."""
        problems, prometheus = Problems(), self._site.sources.prometheus
        recorded = partial(read_recorded, prometheus, LINES, SPAN, time.time())
        shown, lines = await asyncio.gather(
            self._values(pair), problems.of(self._recorded.get(recorded), None)
        )
        compared = await asyncio.to_thread(read_lines, self._folder, shown["chosen"])
        return {
            "blocks": self._site.blocks(PAGE, BLOCKS, **shown),
            "problems": problems.found,
            "chart": {"lines": lines, "compared": {"lines": compared}},
        }

    async def show(self, pair: Pair) -> Response:
        """The page; charts come with the first update."""
        limit = self._settings.slo.latency_seconds
        return self._site.render(PAGE, pair=pair, limit=limit, **await self._values(pair))

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
        asked = (fields.get(name, "") for name in ("scenario", "rate", "seconds"))
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
    found = site.live_page(PAGE, _pair, page.show, page.read, SECONDS)
    found.append(Route("/load/{name}/report", page.report))
    if site.sources.settings.console.control:
        found.append(Route("/load/test", page.change, methods=["POST"]))
    return found
