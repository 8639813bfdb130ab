"""How the programs of a stack get its settings: all of them, through the environment.

They get every setting, not only those that a person changed, and a settings file that is empty. So a
program that is started again after days has the settings that the stack was started with, whatever
became of `tidegate.toml` meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from tidegate.settings import Settings
from tidegate.settings.sources import ENV_DELIMITER, ENV_PREFIX, ENV_RESERVED

CONFIG = "TIDEGATE_CONFIG"
EMPTY_FILE = "# The settings of the running stack are in its programs' environment.\n"
S = TypeVar("S", bound=BaseModel)


def absolute(section: S, folder: Path) -> S:
    """The same settings, their relative paths now absolute: below `folder`."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            changes[name] = absolute(value, folder)
        elif isinstance(value, Path):
            changes[name] = folder / value
    return section.model_copy(update=changes)


def environment(settings: Settings, base: Mapping[str, str], empty_file: Path) -> dict[str, str]:
    """The environment of the stack's programs.

    Args:
        settings: what they shall read, paths absolute.
        base: our own environment; its own settings are left out.
        empty_file: where to write the settings file that says nothing.
    """
    empty_file.write_text(EMPTY_FILE, encoding="utf-8")
    kept = {
        name: base[name] for name in base if not name.startswith(ENV_PREFIX) or name in ENV_RESERVED
    }
    named = {
        f"{ENV_PREFIX}{name}": value for name, value in _walk(settings.model_dump(mode="json"))
    }
    return {**kept, **named, CONFIG: str(empty_file)}


def _walk(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += [(f"{name.upper()}{ENV_DELIMITER}{rest}", text) for rest, text in _walk(value)]
        elif isinstance(value, str):
            found.append((name.upper(), value))
        elif value is not None:  # what is None has no other default
            found.append((name.upper(), json.dumps(value)))
    return found
