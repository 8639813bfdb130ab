"""The page of the model: drift by feature, its predictions, its shadow, and its quality where labels come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import BaseRoute

from tidegate.console.models import (
    LAST,
    WINDOWS,
    by_version,
    quality_charts,
    read_distributions,
    read_shadows,
)
from tidegate.console.series import Range, lines_of, read_lines
from tidegate.console.site import Page, Site
from tidegate.console.sources import Problems
from tidegate.rules.drift_rules import min_rows

PAGE: Final = Page("model", "/model", "Model")
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
    prometheus, settings = site.sources.prometheus, site.sources.settings
    warning = settings.drift.psi_warning

    def window_of(request: Request) -> str:
        window = request.query_params.get("window", "")
        return window if window in WINDOWS else WINDOWS[0]

    async def read(window: str) -> dict[str, Any]:
        problems, charts = Problems(), quality_charts(window)
        found, shadows, lines = await asyncio.gather(
            problems.of(read_distributions(prometheus, window, warning, with_bins=True), []),
            problems.of(read_shadows(prometheus, window), []),
            problems.of(
                read_lines(prometheus, lines_of(charts), SPANS[window], time.time(), LAST),
                None,
            ),
        )
        return {
            "shadows": shadows,
            "shadow_path": settings.model.shadow_path,
            "versions": by_version(found),
            "window": window,
            "windows": WINDOWS,
            "warning": warning,
            "min_rows": min_rows(window, settings.drift),
            "charts": charts,
            "problems": problems.found,
            "chart": {"lines": lines},
        }

    return site.live_page(PAGE, window_of, read, SECONDS)
