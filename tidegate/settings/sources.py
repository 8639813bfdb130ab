"""The sources of settings: environment variables and the settings file."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.os_errors import os_error_message

ENV_PREFIX = "TIDEGATE_"
ENV_DELIMITER = "__"
# Variables with this prefix that are not settings: the folder of installed programs, the path of the settings
# file, and whether the tests may skip what needs them.
ENV_RESERVED = frozenset(
    {"TIDEGATE_CACHE", "TIDEGATE_CONFIG", "TIDEGATE_NIGHTLY", "TIDEGATE_REQUIRE_ALL"}
)
DEFAULT_FILE = Path("tidegate.toml")


class SettingsError(ValueError):
    """Settings are unknown or invalid. The message names each one, its source and what is wrong."""


def config_file() -> Path | None:
    """Return the path of the settings file, or None if there is none.

    Raises:
        SettingsError: the file that `TIDEGATE_CONFIG` names does not exist, or the path is no file.
    """
    named = os.environ.get("TIDEGATE_CONFIG")
    path = Path(named) if named else DEFAULT_FILE
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise SettingsError(f"TIDEGATE_CONFIG: {named} does not exist") from None
        return None
    except OSError as error:
        raise SettingsError(os_error_message(error)) from error
    # It is read more than once, which a pipe cannot be, and of another device only /dev/null ends.
    if not stat.S_ISREG(mode) and str(path) != os.devnull:
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise SettingsError(
            f"{path} is {kind}, not a file: rename it, or set TIDEGATE_CONFIG to the settings file"
        )
    return path


def read_file() -> dict[str, Any]:
    """Return the content of the settings file; empty if there is none.

    Raises:
        SettingsError: it cannot be read, or is not valid TOML.
    """
    path = config_file()
    if path is None:
        return {}
    try:
        # Editors of Windows begin a file with a byte order mark.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except RecursionError:
        raise SettingsError(f"{path}: lists or tables are nested too deeply") from None
    except OSError as error:
        raise SettingsError(os_error_message(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from error


def read_variables(environment: Mapping[str, str], names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in environment variables, as the settings file would have them.

    A name that no setting of its section has is among them, so that it is refused as in the file.

    Raises:
        ValueError: the value of a list or a section is not JSON.
    """
    tables = sections(names)
    # The case of their names is ignored.
    texts = {
        key[len(ENV_PREFIX) :].replace(ENV_DELIMITER, ".").lower(): text
        for key, text in environment.items()
        if key.upper().startswith(ENV_PREFIX)
    }
    given: dict[str, Any] = {}
    # The variable of the setting itself overrides one that contains its section as JSON.
    for name in sorted(texts, key=lambda name: (name not in tables, name)):
        *parents, last = name.split(".")
        if [*parents, last][0] not in tables:
            continue
        value: Any = texts[name]
        if name in tables or isinstance(names.get(name), tuple):
            value = json.loads(value)
        table: Any = given
        for part in parents:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
        if isinstance(table, dict):  # otherwise a section is given as a value, which is refused
            table |= merged({last: table.get(last)}, {last: value})
    return given


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of two sources; those of `upper` override."""
    return {
        **lower,
        **{
            name: merged(lower[name], value)
            if isinstance(value, dict) and isinstance(lower.get(name), dict)
            else value
            for name, value in upper.items()
        },
    }


def sections(names: Iterable[str]) -> set[str]:
    """Return the dotted names of all sections that contain these settings."""
    return {name.rsplit(".", count)[0] for name in names for count in range(1, name.count(".") + 1)}


def variable(name: str) -> str:
    """Return the name of the environment variable of a setting, by its dotted name."""
    return ENV_PREFIX + name.upper().replace(".", ENV_DELIMITER)


def source(parts: Sequence[str], file: Mapping[str, Any]) -> str:
    """The environment variable or the path of the file that sets it; an empty string for the default."""
    # The variable of the setting itself overrides one that contains its section as JSON.
    for length in range(len(parts), 0, -1):
        rest = parts[length:]
        for name, text in variables(".".join(parts[:length])):
            if not rest or (is_json(text) and _contains(json.loads(text), rest)):
                return name
    return str(config_file()) if _contains(file, parts) else ""


def variables(name: str) -> list[tuple[str, str]]:
    """Return the environment variables that set a setting or section, with their values."""
    return [(key, text) for key, text in os.environ.items() if key.upper() == variable(name)]


def is_json(text: str) -> bool:
    """Return whether a text is valid JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _contains(table: Any, parts: Sequence[str]) -> bool:
    for part in parts:
        if not isinstance(table, Mapping) or part not in table:
            return False
        table = table[part]
    return True
