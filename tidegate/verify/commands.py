"""`tidegate verify`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
from rich.status import Status

from tidegate.runtime.check_results import Results, has_failed
from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.terminal_console import Console
from tidegate.verify import view
from tidegate.verify.run import run_checks
from tidegate.verify.target import NoStackError, find_stack


def verify(settings: Settings, *, as_json: bool, wait_seconds: float) -> int:
    """Check each component of the running stack, and print the results.

    Args:
        settings: the current settings.
        as_json: print one JSON object instead of the table.
        wait_seconds: how long to repeat failed checks.

    Returns:
        The exit code: 0 if all checks pass, 1 if a check fails or no stack runs.
    """
    errors = Console(stderr=True)
    settings = with_absolute_paths(settings, Path.cwd())
    try:
        with errors.status("checking …") as status:
            results = asyncio.run(_run(settings, wait_seconds, status))
    except NoStackError as error:
        if as_json:
            sys.stdout.write(view.as_json({}, problem=str(error)) + "\n")
        else:
            errors.print(str(error), soft_wrap=True, highlight=False)
        return 1
    if as_json:
        sys.stdout.write(view.as_json(results) + "\n")
    else:
        console = Console()
        console.print(view.report(results, console.width))
    return 1 if has_failed(results) else 0


async def _run(settings: Settings, wait_seconds: float, status: Status) -> Results:
    async with aiohttp.ClientSession(trust_env=False) as session:
        target = find_stack(settings, session)
        return await run_checks(
            target, wait_seconds, lambda component: status.update(f"checking {component} …")
        )
