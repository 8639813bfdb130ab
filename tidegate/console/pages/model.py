"""The page of the model: drift by feature, its predictions, its shadow, and its quality where labels come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tidegate.console.distributions import (
    LAST,
    WINDOWS,
    Distribution,
    by_version,
    quality_lines,
    read_distributions,
)
from tidegate.console.live import Held
from tidegate.console.problems import Problems
from tidegate.console.series import Line, Range, read_lines
from tidegate.console.shadows import Shadow, read_shadows
from tidegate.console.site import Page, Site
from tidegate.rules.drift_rules import min_rows

PAGE: Final = Page("model", "/model", "Model")
BLOCKS: Final = ("versions",)
SECONDS: Final = 15.0
# The time that the charts show, for each window of the rules.
SPANS: Final = dict(
    zip(
        WINDOWS,
        (Range("1h", 3600, 15), Range("24h", 86_400, 300), Range("7d", 604_800, 1800)),
        strict=True,
    )
)


def routes(site: Site) -> Sequence[BaseRoute]:
    """Its routes."""
    prometheus = site.sources.prometheus
    settings = site.sources.settings
    warning = settings.drift.psi_warning
    held: dict[str, Held[list[Distribution]]] = {window: Held(SECONDS) for window in WINDOWS}
    held_shadows: dict[str, Held[list[Shadow]]] = {window: Held(SECONDS) for window in WINDOWS}

    def window_of(request: Request) -> str:
        window = request.query_params.get("window", "")
        return window if window in WINDOWS else WINDOWS[0]

    async def values(window: str) -> dict[str, Any]:
        problems = Problems()
        read = partial(read_distributions, prometheus, window, warning, with_bins=True)
        found: list[Distribution]
        shadows: list[Shadow]
        found, shadows = await asyncio.gather(
            problems.of(held[window].get(read), []),
            problems.of(held_shadows[window].get(partial(read_shadows, prometheus, window)), []),
        )
        return {
            "shadows": shadows,
            "shadow_path": settings.model.shadow_path,
            "versions": by_version(found),
            "window": window,
            "warning": warning,
            "min_rows": min_rows(window, settings.drift),
            "problems": problems.found,
        }

    async def read(window: str) -> Mapping[str, Any]:
        problems = Problems()
        lines: list[Line] = list(quality_lines(window).values())
        shown, chart = await asyncio.gather(
            values(window),
            problems.of(read_lines(prometheus, lines, SPANS[window], time.time(), LAST), None),
        )
        return {
            "blocks": site.blocks(PAGE, BLOCKS, **shown),
            "problems": shown["problems"] or problems.found,
            "chart": {"lines": chart},
        }

    async def show(window: str) -> Response:
        shown = await values(window)
        keys = {name: line.key() for name, line in quality_lines(window).items()}
        return site.render(PAGE, windows=WINDOWS, keys=keys, **shown)

    return site.live_page(PAGE, window_of, show, read, SECONDS)
