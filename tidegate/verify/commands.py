"""`tidegate verify`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.status import Status

from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.verify import view
from tidegate.verify.run import run_checks
from tidegate.verify.target import NoStackError, find


def verify(settings: Settings, *, as_json: bool, wait_seconds: float) -> int:
    """Ask each part of the running stack, and show what was found.

    Args:
        settings: those in force.
        as_json: print one JSON object instead of the table.
        wait_seconds: how long to repeat the checks that fail.

    Returns:
        The exit code: 0 if all checks hold, 1 if one does not, or if no stack runs.
    """
    errors = Console(stderr=True)
    settings = with_absolute_paths(settings, Path.cwd())
    try:
        with errors.status("asking …") as status:
            results = asyncio.run(_run(settings, wait_seconds, status))
    except NoStackError as error:
        if as_json:
            sys.stdout.write(view.as_json({}, problem=str(error)) + "\n")
        else:
            errors.print(str(error), soft_wrap=True, highlight=False, markup=False)
        return 1
    if as_json:
        sys.stdout.write(view.as_json(results) + "\n")
    else:
        console = Console()
        console.print(view.table(results, console.width))
    return 1 if any(one.state == "failed" for found in results.values() for one in found) else 0


async def _run(settings: Settings, wait_seconds: float, status: Status) -> view.Results:
    async with aiohttp.ClientSession(trust_env=False) as session:
        target = find(settings, session)
        return await run_checks(
            target, wait_seconds, lambda component: status.update(f"asking: {component} …")
        )
