"""Asks each panel of the Grafana and the Kibana in `[verify]`; exits with 1 if one fails."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import aiohttp

from support.panels import grafana, kibana
from tidegate.checks.running.run import run_checks
from tidegate.checks.running.target import find_stack
from tidegate.runtime.check_results import Results, has_failed, report
from tidegate.settings import Settings, load
from tidegate.terminal_console import Console

CHECKS: Final = {"Grafana": grafana.check, "Kibana": kibana.check}
WAIT_SECONDS: Final = 120.0


async def ask(settings: Settings) -> Results:
    """The results of all dashboards; failed ones are repeated, as rules need some scrapes after a start."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        return await run_checks(find_stack(settings, session), WAIT_SECONDS, checks=CHECKS)


if __name__ == "__main__":
    results = asyncio.run(ask(load()))
    console = Console()
    console.print(report(results, console.width))
    sys.exit(has_failed(results))
