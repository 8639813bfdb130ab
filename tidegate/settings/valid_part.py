"""The valid part of invalid settings: enough to find a running stack, and to stop it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from tidegate.settings import Settings, setting_names, unknown_variables
from tidegate.settings.error_messages import not_json, unknown, unknown_variable
from tidegate.settings.sources import (
    SettingsError,
    config_file,
    merged,
    read_file,
    read_variables,
)

MAX_UNKNOWN: Final = 1000


def load_valid() -> Settings:
    """The settings that are valid, and the defaults of the others.

    Raises:
        SettingsError: the data folder is not known, as a source cannot be read, or an invalid setting is one
            of the stack or has a similar name.
    """
    names = setting_names()
    if problems := not_json(names):
        raise SettingsError("\n".join(problems))
    given = merged(read_file(), read_variables(os.environ, names))
    top_level = [one for one in given if one not in Settings.model_fields]
    if len(top_level) > MAX_UNKNOWN:
        raise SettingsError(f"{config_file()}: {len(top_level):,} settings are unknown")
    strange = [f"{one}: {unknown(one, names)}" for one in top_level]
    strange += [f"{one}: {unknown_variable(one, names)}" for one in unknown_variables()]
    if like_stack := [line for line in strange if "stack" in line.lower()]:
        raise SettingsError("\n".join(like_stack))
    sections: dict[str, Any] = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        assert isinstance(section, type)  # noqa: S101 - for mypy; every field is a section
        assert issubclass(section, BaseModel)  # noqa: S101
        table = given.get(name, {})
        try:
            sections[name] = section.model_validate(table)
        except ValidationError as error:
            if name == "stack":
                raise SettingsError(str(error)) from error
            sections[name] = _valid(section, table)
    return Settings.model_construct(**sections)


def _valid(section: type[BaseModel], table: Any) -> BaseModel:
    if not isinstance(table, Mapping):
        return section()
    try:
        return section.model_validate(table)
    except ValidationError as error:
        invalid = {each["loc"][0] for each in error.errors() if each["loc"]}
    rest = {key: value for key, value in table.items() if key not in invalid}
    return _valid(section, rest) if len(rest) < len(table) else section()
