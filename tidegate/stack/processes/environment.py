"""Passes all settings of a stack to its programs, through environment variables.

The variables contain every setting, also those with their default, and the settings file is empty. So a
program that restarts after days has the settings that the stack was started with, even if `tidegate.toml`
has changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from tidegate.settings import Model, Settings, SettingsError, is_import_string, setting_names
from tidegate.settings.sources import ENV_DELIMITER, ENV_PREFIX, ENV_RESERVED, read_variables

CONFIG = "TIDEGATE_CONFIG"
EMPTY_FILE = "# The settings of the running stack are in its programs' environment.\n"
S = TypeVar("S", bound=BaseModel)


def with_absolute_paths(section: S, folder: Path) -> S:
    """The same settings with relative paths resolved against `folder`."""
    changes: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            changes[name] = with_absolute_paths(value, folder)
        elif isinstance(section, Model) and isinstance(value, Path) and is_import_string(value):
            changes[name] = value
        elif isinstance(value, Path):
            changes[name] = folder / value
    return section.model_copy(update=changes)


def with_program_name(settings: Settings) -> Settings:
    """The same settings; `service.name`, unless it is set, is the top-level module of `service.app`."""
    service = settings.service
    if not service.app or "name" in service.model_fields_set:
        return settings
    from tidegate.telemetry.identity import service_name  # noqa: PLC0415  the other commands need no telemetry

    name = service_name(service.app.partition(":")[0].partition(".")[0]) or "app"
    return settings.model_copy(update={"service": service.model_copy(update={"name": name})})


def environment(settings: Settings, base: Mapping[str, str], empty_file: Path) -> dict[str, str]:
    """The environment of the stack's programs: this process's without settings, and all settings.

    Their paths are absolute. The empty settings file is written, too.
    """
    empty_file.write_text(EMPTY_FILE, encoding="utf-8")
    inherited = {
        name: base[name] for name in base if not name.startswith(ENV_PREFIX) or name in ENV_RESERVED
    }
    variables = {
        f"{ENV_PREFIX}{name}": value for name, value in _walk(settings.model_dump(mode="json"))
    }
    return {**inherited, **variables, CONFIG: str(empty_file)}


def settings_from(variables: Mapping[str, str]) -> Settings:
    """The settings in the environment of a program, and the defaults of the others.

    Raises:
        SettingsError: this version of Tidegate does not accept them.
    """
    try:
        return Settings.model_validate(read_variables(variables, setting_names()))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _walk(table: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += [(f"{name.upper()}{ENV_DELIMITER}{rest}", text) for rest, text in _walk(value)]
        elif isinstance(value, str):
            found.append((name.upper(), value))
        elif value is not None:  # a setting that is None has the default None
            found.append((name.upper(), json.dumps(value)))
    return found
