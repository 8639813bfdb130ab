"""`tidegate doctor`, before a start, and `tidegate verify`, of a running stack."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
from rich.status import Status

from tidegate.checks.running.run import run_checks
from tidegate.checks.running.target import NoStackError, find_stack
from tidegate.observability_files.paths import project_folder
from tidegate.runtime.check_results import Result, Results, as_json, has_failed, report, table
from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.terminal_console import Console


def doctor(settings: Settings) -> int:
    """Check this machine for `tidegate up`, and show the results.

    Returns:
        The exit code: 0, or 1 if something needed is missing.
    """
    # Not for `verify`, which runs in an image without what a start needs.
    from tidegate.checks.machine import machine_checks  # noqa: PLC0415

    return _show(asyncio.run(machine_checks(with_absolute_paths(settings, Path.cwd()))))


def compose_doctor() -> int:
    """Check this machine for `docker compose up`, and show the results.

    Returns:
        The exit code: 0, or 1 if something needed is missing.
    """
    from tidegate.checks.compose import compose_checks  # noqa: PLC0415

    return _show(compose_checks(project_folder()))


def _show(results: list[Result]) -> int:
    console, found = Console(), {"": results}
    console.print(table(found, console.width))
    return 1 if has_failed(found) else 0


def verify(settings: Settings, *, json: bool, wait_seconds: float) -> int:
    """Check each component of the running stack until all pass or the time is over, and print the results.

    Returns:
        The exit code: 0 if all checks pass, 1 if a check fails or no stack runs.
    """
    errors = Console(stderr=True)
    settings = with_absolute_paths(settings, Path.cwd())
    try:
        with errors.status("checking …") as status:
            results = asyncio.run(_run(settings, wait_seconds, status))
    except NoStackError as error:
        if json:
            sys.stdout.write(as_json({}, problem=str(error)) + "\n")
        else:
            errors.print(str(error), soft_wrap=True, highlight=False)
        return 1
    if json:
        sys.stdout.write(as_json(results) + "\n")
    else:
        console = Console()
        console.print(report(results, console.width))
    return 1 if has_failed(results) else 0


async def _run(settings: Settings, wait_seconds: float, status: Status) -> Results:
    async with aiohttp.ClientSession(trust_env=False) as session:
        target = find_stack(settings, session)
        return await run_checks(
            target, wait_seconds, lambda component: status.update(f"checking {component} …")
        )
