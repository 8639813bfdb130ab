"""`tidegate status`. It imports little of the stack, because scripts call it often."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.snapshot import Snapshot, take_snapshot
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.stack.supervisor.status import StackStatus
from tidegate.terminal.status_view import view
from tidegate.terminal_console import Console

NOT_RUNNING: Final = 3


def status(settings: Settings, *, as_json: bool) -> int:
    """Show the status of the stack.

    Returns:
        The exit code: 0 if everything is ready, 1 if not, 3 if no stack runs.
    """
    console = Console()
    settings = with_absolute_paths(settings, Path.cwd())
    layout = Layout(settings.stack.data_dir)
    pid = layout.holder()
    if pid is None:
        from tidegate.checks.ports import lost_stack  # noqa: PLC0415 - a running stack needs no search

        lost = lost_stack(settings)
        text = lost or f"no stack runs in {layout.data}: start one with `tidegate up`"
        state = {"state": "lost", "problem": lost} if lost else {"state": "stopped"}
        _print(console, text, dict(state) if as_json else None)
        return 1 if lost else NOT_RUNNING
    try:
        status = fetch_status(layout.socket)
    except ControlError as error:
        text = f"the supervisor (pid {pid}) runs, but {error}"
        document = {"state": "silent", "pid": pid, "problem": str(error)}
        _print(console, text, document if as_json else None)
        return 1
    if as_json:
        sys.stdout.write(status.model_dump_json() + "\n")
    else:
        snapshot = asyncio.run(_snapshot(status, layout.logs))
        console.print(view(snapshot, time.time()))
    return 0 if status.state == "ready" else 1


async def _snapshot(status: StackStatus, logs: Path) -> Snapshot:
    async with aiohttp.ClientSession(trust_env=False) as session:
        return await take_snapshot(status, session, logs)


def _print(console: Console, text: str, as_json: dict[str, object] | None) -> None:
    if as_json is None:
        console.print(text, soft_wrap=True, highlight=False)
    else:
        sys.stdout.write(json.dumps(as_json) + "\n")
