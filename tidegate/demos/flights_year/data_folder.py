"""The replay's own data folder, empty at its start: its windows hold no row but its own.

In the stack's folder the windows of an hour and a day would hold what was sent before, a replay or a demo:
rows that nobody counts here, and by which alerts fire that the replay cannot explain.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from tidegate.demos.flights_year.sending import ReplayError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout

FOLDER: Final = "demo-drift"
MARK: Final = "emptied-by-demo-drift"
"""The file by which a folder is known to be the replay's: no other one is ever emptied."""


def place(settings: Settings) -> Settings:
    """The same settings, for a stack whose data and events lie below the data folder, in one of their own."""
    stack = settings.stack.model_copy(update={"data_dir": settings.stack.data_dir / FOLDER})
    # An Elasticsearch would still hold the labels of the replay before.
    store = settings.store.model_copy(update={"kind": "embedded"})
    return settings.model_copy(update={"stack": stack, "store": store})


def variables(settings: Settings) -> dict[str, str]:
    """What tells a command to use this place."""
    return {
        "TIDEGATE_STACK__DATA_DIR": str(settings.stack.data_dir),
        "TIDEGATE_STORE__KIND": settings.store.kind,
    }


def before_command(settings: Settings, usual: Settings) -> str:
    """What a person types before a command, for it to look into this place; ends with a space.

    Args:
        settings: of this place.
        usual: those that a command has by itself; what is the same there is left out.
    """
    known = variables(usual)
    words = [
        f"{name}={shlex.quote(value)} "
        for name, value in variables(settings).items()
        if known[name] != value
    ]
    return "".join(words)


def empty(settings: Settings) -> None:
    """Make the place's folder, or empty the one that an earlier replay made.

    Raises:
        ReplayError: a stack runs in it, it is not the replay's, or it cannot be written.
    """
    folder = settings.stack.data_dir
    if pid := Layout(folder).holder():
        command = f"TIDEGATE_STACK__DATA_DIR={shlex.quote(str(folder))} tidegate down"
        raise ReplayError(
            f"a replay is still running in {folder} (pid {pid}): stop it with `{command}`"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries = list(folder.iterdir())
        if folder.is_symlink() or (entries and not (folder / MARK).is_file()):
            raise ReplayError(
                f"{folder} was not made by `tidegate demo-drift`, and is left as it is: "
                "move it away, or set stack.data_dir"
            )
        # First of all, and last to go: a replay that is killed here leaves a folder that is still its own.
        (folder / MARK).touch()
        for entry in entries:
            if entry.name != MARK:
                _remove(entry)
    except OSError as error:
        raise ReplayError(f"{folder} cannot be emptied: {error}") from error


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
