"""`tidegate settings`: every setting in force, and where its value comes from."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from tidegate.settings import Settings, SettingsError, setting_names
from tidegate.settings.error_messages import unknown
from tidegate.settings.sources import config_file, read_file, source, variable

BAD_ARGUMENT: Final = 2
MASK: Final = "********"
# The password in http://user:password@host.
_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/@]*@")
# With this few settings there is room for what each means.
EXPLAINED: Final = 12


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in force. `source` is `default`, the settings file or an environment variable."""

    name: str
    value: Any
    source: str
    variable: str
    default: Any
    meaning: str


def show(settings: Settings, names: Iterable[str], *, changed: bool, as_json: bool) -> int:
    """Print the settings in force.

    Args:
        settings: all of them.
        names: of settings or sections; none of them means all.
        changed: leave out those that have their default value from nowhere else.
        as_json: one object a line.

    Returns:
        The exit code: 2 if there is no setting or section of one of these names.
    """
    found = list(in_force(settings))
    wanted = [name.strip("[]") for name in names]
    for name in wanted:
        if not any(_within(one.name, name) for one in found):
            sys.stderr.write(f"{name}: {unknown(name, setting_names())}\n")
            return BAD_ARGUMENT
    if wanted:
        found = [one for one in found if any(_within(one.name, name) for name in wanted)]
    if changed:
        found = [one for one in found if one.source != "default"]
    if as_json:
        for one in found:
            line = {name: getattr(one, name) for name in one.__slots__}
            sys.stdout.write(json.dumps(line) + "\n")
        return 0
    console = Console()
    for each in _lines(found, console.width):
        console.print(each, soft_wrap=isinstance(each, Text))
    console.print(_where(), style="dim", highlight=False, soft_wrap=True)
    return 0


def in_force(settings: Settings) -> Iterator[Setting]:
    """Every setting, in the order of the settings file, passwords masked."""
    file = read_file()
    for name, (default, meaning) in setting_names().items():
        parts = name.split(".")
        value: Any = settings
        for part in parts:
            value = getattr(value, part)
        yield Setting(
            name=name,
            value=_plain(value),
            source=source(parts, file) or "default",
            variable=variable(name),
            default=_plain(default),
            meaning=" ".join(meaning.split()),
        )


def as_text(value: Any) -> str:
    """A value as a person reads it in a table."""
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


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return _PASSWORD.sub(rf"\1:{MASK}@", value)
    # A path or a network is a text in the settings file.
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _lines(found: list[Setting], width: int) -> Iterator[RenderableType]:
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
        yield line.append(one.source, style="dim" if one.source == "default" else "green")
        if len(found) <= EXPLAINED:
            yield Padding(Text(one.meaning, style="dim"), (0, 0, 0, 2))
    yield ""


def _where() -> str:
    try:
        path = config_file()
    except SettingsError as error:
        return str(error)
    file = f"settings file: {path.absolute()}" if path else "settings file: none in this folder"
    return f"{file}; an environment variable wins over it"
