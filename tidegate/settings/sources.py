"""Where a setting's value can come from: the environment, the settings file, else the default."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.os_errors import os_error_message

ENV_PREFIX = "TIDEGATE_"
ENV_DELIMITER = "__"
# Variables with our prefix that are not settings: where installed programs and the file lie, and what
# tests must not skip.
ENV_RESERVED = frozenset({"TIDEGATE_CACHE", "TIDEGATE_CONFIG", "TIDEGATE_REQUIRE_ALL"})
DEFAULT_FILE = Path("tidegate.toml")


class SettingsError(ValueError):
    """A setting is unknown or bad. Its text names each one, where it stands and what is wrong."""


def config_file() -> Path | None:
    """The settings file in force, or None.

    Raises:
        SettingsError: `TIDEGATE_CONFIG` names a file that is not there, or a folder has the file's name.
    """
    named = os.environ.get("TIDEGATE_CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise SettingsError(f"TIDEGATE_CONFIG: there is no file {named}") from None
        return None
    except OSError as error:
        raise SettingsError(os_error_message(error)) from error
    if path.is_dir():
        raise SettingsError(
            f"{path} is a folder, not a file: rename it, or let TIDEGATE_CONFIG name the settings file"
        )
    return path


def read_file() -> dict[str, Any]:
    """What the settings file says; empty without one.

    Raises:
        SettingsError: it cannot be read, or is no TOML.
    """
    path = config_file()
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(os_error_message(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def variable(name: str) -> str:
    """The environment variable of a setting, by its dotted name."""
    return ENV_PREFIX + name.upper().replace(".", ENV_DELIMITER)


def source(parts: Sequence[str], file: Mapping[str, Any]) -> str:
    """Where the value of a setting comes from.

    Args:
        parts: of its dotted name.
        file: what the settings file says.

    Returns:
        The environment variable, the path of the settings file, or an empty text for the default.
    """
    # The variable of the setting itself wins over one that holds its section as JSON.
    for length in range(len(parts), 0, -1):
        rest = parts[length:]
        for name, text in variables(".".join(parts[:length])):
            if not rest or (is_json(text) and _holds(json.loads(text), rest)):
                return name
    return str(config_file()) if _holds(file, parts) else ""


def variables(name: str) -> list[tuple[str, str]]:
    """The environment variable of a setting or section that is set, and its text; empty if it is not."""
    # As pydantic-settings: in upper or lower case.
    return [(key, text) for key, text in os.environ.items() if key.upper() == variable(name)]


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _holds(table: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True
