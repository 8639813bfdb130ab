"""`tidegate doctor`, for a stack on this machine and for Docker Compose."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tidegate.doctor.compose import compose_checks
from tidegate.doctor.local import checks
from tidegate.observability_files.paths import project_folder
from tidegate.runtime.check_results import Result, has_failed, table
from tidegate.settings import Settings
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.terminal_console import Console


def doctor(settings: Settings) -> int:
    """Check this machine for `tidegate up`, and show the results.

    Returns:
        The exit code: 0, or 1 if something needed is missing.
    """
    return _show(asyncio.run(checks(with_absolute_paths(settings, Path.cwd()))))


def compose_doctor() -> int:
    """Check this machine for `docker compose up`, and show the results.

    Returns:
        The exit code: 0, or 1 if something needed is missing.
    """
    return _show(compose_checks(project_folder()))


def _show(results: list[Result]) -> int:
    console, found = Console(), {"": results}
    console.print(table(found, console.width))
    return 1 if has_failed(found) else 0
