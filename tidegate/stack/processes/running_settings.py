"""The settings that a running stack was started with; `tidegate.toml` may have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tidegate.settings import Settings, SettingsError, setting_names
from tidegate.settings.sources import variable
from tidegate.stack.data_folder import Layout
from tidegate.stack.processes.environment import (
    CONFIG,
    settings_from,
    with_absolute_paths,
    with_program_name,
)


def running_settings(layout: Layout, pid: int) -> Settings | None:
    """The settings in force in the stack of a data folder and a supervisor; None if they cannot be read."""
    name = variable("service.node_name")
    # A replica has a name, a port and a model of its own, so any other program goes first.
    found = sorted(_environments(layout, pid), key=lambda variables: bool(variables.get(name)))
    if not found:
        return None
    try:
        return settings_from(found[0])
    except SettingsError:  # of a stack that another version has started
        return None


def other_values(settings: Settings) -> dict[str, Any]:
    """The settings that have another value in the running stack, with that value; empty if no stack runs."""
    settings = with_program_name(with_absolute_paths(settings, Path.cwd()))
    layout = Layout(settings.stack.data_dir)
    pid = layout.holder()
    running = running_settings(layout, pid) if pid else None
    if running is None:
        return {}
    return {
        name: value
        for name in setting_names()
        if (value := _value(running, name)) != _value(settings, name)
    }


def _value(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _environments(layout: Layout, pid: int) -> Iterator[Mapping[str, str]]:
    """The environments of the stack's programs; each contains all settings."""
    import psutil  # noqa: PLC0415 - without a running stack it may not be installed

    processes: list[psutil.Process] = []
    with suppress(psutil.Error):
        supervisor = psutil.Process(pid)
        processes = [supervisor, *supervisor.children()]
    for process in processes:
        with suppress(psutil.Error, OSError):
            variables = process.environ()
            if variables.get(CONFIG) == str(layout.run / "settings.toml"):
                yield variables
