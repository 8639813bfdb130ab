"""`tidegate deploy`: asks the running stack to serve another artefact, and follows it to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.console import Console

from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import absolute
from tidegate.stack.replicas.release import Release, ReleaseRefusedError
from tidegate.stack.supervisor.control_client import ControlError, fetch_status, request_deploy
from tidegate.stack.supervisor.status import StackStatus
from tidegate.stack.terminal.status_view import line

NOT_RUNNING: Final = 3
REFUSED: Final = 2
GIVEN_UP: Final = 1
LOOK_SECONDS: Final = 0.3


def deploy(settings: Settings, artefact: Path) -> int:
    """Replace the model of the running stack.

    Returns:
        The exit code: 0 every replica serves it, 1 it was given up, 2 it was refused and nothing changed,
        3 no stack runs.
    """
    console, errors = Console(), Console(stderr=True)
    layout = Layout(absolute(settings, Path.cwd()).stack.data_dir)
    if layout.holder() is None:
        _print(errors, f"no stack runs in {layout.data}: start one with `tidegate up`")
        return NOT_RUNNING
    since = time.time()
    try:
        release = request_deploy(layout.socket, artefact.absolute())
        found = _follow(lambda: fetch_status(layout.socket), console, since)
    except ReleaseRefusedError as error:
        _print(errors, f"refused, and nothing was changed: {error}")
        return REFUSED
    except ControlError as error:
        _print(errors, str(error))
        return GIVEN_UP
    if found.rollout is None or found.rollout.state != "done":
        return GIVEN_UP
    _print(console, _next_start(release, artefact))
    return 0


def _follow(ask: Callable[[], StackStatus], console: Console, since: float) -> StackStatus:
    """Print what happens until the replacement has ended."""
    while True:
        found = ask()
        for entry in found.recent:
            if entry.at > since:
                since = entry.at
                console.print(line(entry), soft_wrap=True)
        if found.rollout is None or found.rollout.state != "rolling":
            return found
        time.sleep(LOOK_SECONDS)


def _next_start(release: Release, artefact: Path) -> str:
    return (
        f"this stack serves {release.label}, from its own copy in {release.path}; for the next "
        f"`tidegate up` set model.path to {artefact}"
    )


def _print(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)
