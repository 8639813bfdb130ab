"""`tidegate deploy`: requests the rollout of an artefact or of code, and follows it to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tidegate.settings import Settings, is_import_string
from tidegate.settings.commands import as_text, plain
from tidegate.settings.sources import read_file, source
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import with_absolute_paths
from tidegate.stack.processes.running_settings import other_values
from tidegate.stack.replicas.release import Release, ReleaseRefusedError
from tidegate.stack.supervisor.control_client import ControlError, fetch_status, request_deploy
from tidegate.stack.supervisor.status import StackStatus
from tidegate.terminal.status_view import line
from tidegate.terminal_console import Console

NOT_RUNNING: Final = 3
REFUSED: Final = 2
FAILED: Final = 1
POLL_SECONDS: Final = 0.3


def deploy(settings: Settings, artefact: Path | None) -> int:
    """Replace the model of the running stack, or the code of its application.

    Returns:
        The exit code: 0 if every replica serves it, 1 if the rollout failed, 2 if it was refused and
        nothing changed, 3 if no stack runs.
    """
    console, errors = Console(), Console(stderr=True)
    layout = Layout(with_absolute_paths(settings, Path.cwd()).stack.data_dir)
    if layout.holder() is None:
        errors.say(f"no stack runs in {layout.data}: start one with `tidegate up`")
        return NOT_RUNNING
    since = time.time()
    try:
        if artefact and not is_import_string(artefact):
            artefact = artefact.absolute()
            console.say(f"checking {artefact}; a model file is converted first")
        release = request_deploy(layout.socket, artefact)
        if ignored := _ignored(settings, artefact):
            console.say(ignored)
        status = _follow(lambda: fetch_status(layout.socket), console, since)
    except ReleaseRefusedError as error:
        errors.say(f"refused, nothing was changed: {error}")
        return REFUSED
    except ControlError as error:
        errors.say(str(error))
        return FAILED
    if status.rollout is None or status.rollout.state != "done":
        return FAILED
    if artefact:
        console.say(_next_start(release, artefact, settings))
    return 0


def _follow(fetch: Callable[[], StackStatus], console: Console, since: float) -> StackStatus:
    """Print the log entries until the rollout has ended."""
    while True:
        status = fetch()
        for entry in status.recent:
            if entry.at > since:
                since = entry.at
                console.print(line(entry), soft_wrap=True)
        if status.rollout is None or status.rollout.state != "rolling":
            return status
        time.sleep(POLL_SECONDS)


def _ignored(settings: Settings, artefact: Path | None) -> str:
    """Which settings of the file or the environment a rollout does not apply; empty if there is none."""
    file = read_file()
    ignored = [
        f"{name} (it uses {as_text(plain(value))})"
        for name, value in other_values(settings).items()
        if source(name.split("."), file) and not (artefact and name == "model.path")
    ]
    if not ignored:
        return ""
    return (
        f"the stack keeps the settings that it was started with, and ignores {', '.join(ignored)}:"
        " `tidegate down` and `tidegate up` apply them"
    )


def _next_start(release: Release, artefact: Path, settings: Settings) -> str:
    text = f"this stack serves {release.label} from a copy in {release.path}"
    if with_absolute_paths(settings, Path.cwd()).model.path == artefact:
        return text
    return f"{text}; to serve it after the next `tidegate up`, set model.path to {artefact}"
