"""`tidegate settings`: the effective value of each setting, and its source."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from tidegate.settings import Settings, SettingsError, setting_descriptions, setting_names
from tidegate.settings.error_messages import unknown
from tidegate.settings.sources import config_file, read_file, source, variable
from tidegate.terminal_console import Console

BAD_ARGUMENT: Final = 2
MASK: Final = "********"
# The password in http://user:password@host.
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
# Descriptions are shown if at most this number of settings is listed.
MAX_DESCRIBED: Final = 12
OTHER_VALUES: Final = (
    "the running stack keeps the settings that it was started with, until `tidegate down`"
    " and `tidegate up`"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting with its effective value."""

    name: str
    value: Any
    source: str  # `default`, the path of the settings file, or the name of an environment variable
    variable: str
    default: Any
    meaning: str


def show(
    settings: Settings,
    names: Iterable[str],
    running: Mapping[str, Any],
    *,
    changed: bool,
    as_json: bool,
) -> int:
    """Print the effective settings.

    Args:
        settings: all settings.
        names: of settings or sections; none means all.
        running: the settings that have another value in the running stack, with that value.
        changed: omit settings that no source sets, and that have the same value in the running stack.
        as_json: one JSON object per line.

    Returns:
        The exit code: 2 if a name is neither a setting nor a section.
    """
    found = list(effective_settings(settings))
    wanted = [name.strip("[]") for name in names]
    for name in wanted:
        if not any(_within(one.name, name) for one in found):
            sys.stderr.write(f"{name}: {unknown(name, setting_names())}\n")
            return BAD_ARGUMENT
    if wanted:
        found = [one for one in found if any(_within(one.name, name) for name in wanted)]
    if changed:
        found = [one for one in found if one.source != "default" or one.name in running]
    if as_json:
        for one in found:
            line = {name: getattr(one, name) for name in one.__slots__}
            if one.name in running:
                line["running"] = plain(running[one.name])
            sys.stdout.write(json.dumps(line) + "\n")
        return 0
    console = Console()
    for row in _lines(found, running, console.width):
        console.print(row, soft_wrap=isinstance(row, Text))
    if any(one.name in running for one in found):
        console.print(OTHER_VALUES, style="yellow", highlight=False, soft_wrap=True)
    console.print(_settings_file(), style="dim", highlight=False, soft_wrap=True)
    return 0


def effective_settings(settings: Settings) -> Iterator[Setting]:
    """All settings in the order of the settings file, with passwords masked."""
    file = read_file()
    meanings = setting_descriptions()
    for name, default in setting_names().items():
        parts = name.split(".")
        value: Any = settings
        for part in parts:
            value = getattr(value, part)
        yield Setting(
            name=name,
            value=plain(value),
            source=source(parts, file) or "default",
            variable=variable(name),
            default=plain(default),
            meaning=" ".join(meanings[name].split()),
        )


def as_text(value: Any) -> str:
    """The value as shown in a table."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ", ".join(map(as_text, value)) or "none"
    if isinstance(value, dict):
        return json.dumps(value)
    return str(value) or '""'


def _within(setting: str, name: str) -> bool:
    return setting == name or setting.startswith(f"{name}.")


def plain(value: Any) -> Any:
    """The value as JSON types."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1:{MASK}@", value)
    # Paths and networks are strings in the settings file.
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _lines(
    found: list[Setting], running: Mapping[str, Any], width: int
) -> Iterator[RenderableType]:
    section = ""
    for one in found:
        above, _, key = one.name.rpartition(".")
        if above != section:
            section = above
            yield Text(f"\n[{section}]", style="bold")
        line = Text(f"{key:<26}  {as_text(one.value):<16}  ")
        if len(line) + len(one.source) > width:
            line.rstrip()
            line.append("\n  ")
        line.append(one.source, style="dim" if one.source == "default" else "green")
        if one.name in running:
            used = as_text(plain(running[one.name]))
            line.append(f"\n  the running stack was started with {used}", style="yellow")
        yield line
        if len(found) <= MAX_DESCRIBED:
            yield Padding(Text(one.meaning, style="dim"), (0, 0, 0, 2))
    yield ""


def _settings_file() -> str:
    try:
        path = config_file()
    except SettingsError as error:
        return str(error)
    file = f"settings file: {path.absolute()}" if path else "settings file: none in this folder"
    return f"{file}; environment variables override it"
