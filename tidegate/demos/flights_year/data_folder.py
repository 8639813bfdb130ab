"""The replay's own data folder, emptied at its start.

In the stack's folder, the rules' windows of one hour and one day would include rows of an earlier replay or
demo. The ground truth does not contain those rows, so its figures would differ.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Final

from tidegate.demos.flights_year.replay import ReplayError
from tidegate.settings import Settings
from tidegate.stack.data_folder import Layout

FOLDER: Final = "demo-drift"
MARKER: Final = "emptied-by-demo-drift"
"""The file that marks a folder as the replay's: no other folder is ever emptied."""


def in_own_folder(settings: Settings) -> Settings:
    """The same settings, for a stack with its data and events in a subfolder of the data folder."""
    stack = settings.stack.model_copy(update={"data_dir": settings.stack.data_dir / FOLDER})
    # Elasticsearch would still hold the labels of the previous replay.
    store = settings.store.model_copy(update={"kind": "embedded"})
    return settings.model_copy(update={"stack": stack, "store": store})


def environment_variables(settings: Settings) -> dict[str, str]:
    """The variables with which a command uses this folder."""
    return {
        "TIDEGATE_STACK__DATA_DIR": str(settings.stack.data_dir),
        "TIDEGATE_STORE__KIND": settings.store.kind,
    }


def command_prefix(settings: Settings, defaults: Settings) -> str:
    """The variables to type before a command so that it uses this folder, without those of the defaults.

    It ends with a space if it is not empty.
    """
    unchanged = environment_variables(defaults)
    return "".join(
        f"{name}={shlex.quote(value)} "
        for name, value in environment_variables(settings).items()
        if unchanged[name] != value
    )


def prepare(settings: Settings) -> None:
    """Create the folder, or empty the one of an earlier replay.

    Raises:
        ReplayError: a stack runs in the folder, the folder is not the replay's, or it cannot be written.
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
        if folder.is_symlink() or (entries and not (folder / MARKER).is_file()):
            raise ReplayError(
                f"{folder} was not created by `tidegate demo-drift`, so it is not emptied: "
                "move it away, or set stack.data_dir"
            )
        # The marker is created first and never removed: after a kill here the folder is still the replay's.
        (folder / MARKER).touch()
        for entry in entries:
            if entry.name != MARKER:
                _remove(entry)
    except OSError as error:
        raise ReplayError(f"{folder} cannot be emptied: {error}") from error


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()
