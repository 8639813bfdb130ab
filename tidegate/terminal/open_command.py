"""`tidegate open`: opens the console of the running stack in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Final

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.supervisor.control_client import ControlError, fetch_status
from tidegate.terminal_console import Console

NOT_RUNNING: Final = 3


def open_console(settings: Settings) -> int:
    """Print the address of the console, and open it in the browser if there is one.

    Returns:
        The exit code: 0, 1 if the stack has no console or does not answer, 3 if no stack runs.
    """
    console = Console(soft_wrap=True, highlight=False)
    layout = Layout(with_absolute_paths(settings, Path.cwd()).stack.data_dir)
    if layout.holder() is None:
        console.print(f"no stack runs in {layout.data}: start one with `tidegate up`")
        return NOT_RUNNING
    try:
        address = fetch_status(layout.socket).console
    except ControlError as error:
        console.print(str(error))
        return 1
    if not address:
        console.print(
            "the stack runs no console: see console.enabled and console.token_file, then start it again"
        )
        return 1
    console.print(address)
    webbrowser.open(address)
    return 0
